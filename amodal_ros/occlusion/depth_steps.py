# SPDX-License-Identifier: Apache-2.0
"""What a depth image says of two objects: which surface is nearer where they meet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from amodal_ros.image.cropped import BoxXyxy, common_box
from amodal_ros.image.masks import mask_box
from amodal_ros.occlusion.shapes import Shape

_NEAR_PX = 12  # so far around the overlap: farther off, surfaces lean away
_LEAST_DEPTHS = 10
_MOST_DEPTHS = 500
_LEAST_STEP_M, _LEAST_STEP_OF_DEPTH = 0.02, 0.02  # smaller ones are slant as often as order


class DepthSteps:
    """Compares the depths of the objects of one image.

    Args:
        shapes: of N objects.
        depth_m: (H, W) float32 of the same image, metres, NaN where unknown.
    """

    def __init__(self, shapes: Sequence[Shape], depth_m: np.ndarray) -> None:
        self._shapes = shapes
        self._depth_m = depth_m
        self._whole = cache(self._median_of_all)

    def between(self, first: int, second: int) -> float:
        """By how much the second object is farther than the first, in metres.

        Where they overlap, by what is seen about the overlap; what both claim as seen is left out,
        as it belongs to one of them.

        Args:
            first: index of an object.
            second: likewise.

        Returns:
            Below 0: it is nearer. 0: too little is known, or the difference is too small.
        """
        near, far = self._about(first, second), self._about(second, first)
        if near is None or far is None:
            return 0.0
        least = max(_LEAST_STEP_M, _LEAST_STEP_OF_DEPTH * min(near, far))
        return far - near if abs(far - near) >= least else 0.0

    def _about(self, index: int, other: int) -> float | None:
        """Median depth of an object about its overlap with another; None: too little is known."""
        mine, others = self._shapes[index], self._shapes[other]
        overlap = _overlap_box(mine, others)
        if overlap is None:
            return self._whole(index)
        left, top, right, bottom = overlap
        about = left - _NEAR_PX, top - _NEAR_PX, right + _NEAR_PX, bottom + _NEAR_PX
        box = common_box(about, mine.box_xyxy)
        near = None
        if box is not None:
            near = self._median(box, mine.within(box)[1] & ~others.seen_in(box))
        if near is not None:
            return near
        return self._median(mine.box_xyxy, mine.visible & ~others.seen_in(mine.box_xyxy))

    def _median_of_all(self, index: int) -> float | None:
        shape = self._shapes[index]
        return self._median(shape.box_xyxy, shape.visible)

    def _median(self, box: BoxXyxy, where: np.ndarray) -> float | None:
        x0, y0, x1, y1 = box
        depths = self._depth_m[y0:y1, x0:x1][where]
        known = depths[~np.isnan(depths)]
        known = known[:: max(len(known) // _MOST_DEPTHS, 1)]
        if len(known) < _LEAST_DEPTHS:
            return None
        return float(np.partition(known, len(known) // 2)[len(known) // 2])


def _overlap_box(first: Shape, second: Shape) -> BoxXyxy | None:
    window = common_box(first.box_xyxy, second.box_xyxy)
    if window is None:
        return None
    x0, y0, _, _ = window
    left, top, right, bottom = mask_box(first.within(window)[0] & second.within(window)[0])
    return (x0 + left, y0 + top, x0 + right, y0 + bottom) if right else None
