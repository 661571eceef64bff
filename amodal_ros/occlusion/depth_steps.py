# SPDX-License-Identifier: Apache-2.0
"""What a depth image says of two objects: which surface is nearer where they meet."""

from __future__ import annotations

import numpy as np

from amodal_ros.image.cropped import BoxXyxy
from amodal_ros.image.masks import mask_box
from amodal_ros.occlusion.shapes import Shape, common_box

_NEAR_PX = 12  # so far around the overlap: farther off, surfaces lean away
_LEAST_DEPTHS = 10
_MOST_DEPTHS = 500
_LEAST_STEP_M, _LEAST_STEP_OF_DEPTH = 0.01, 0.01  # smaller ones are noise and slant


def depth_step(shapes: tuple[Shape, Shape], depth_m: np.ndarray) -> float:
    """By how much the second object is farther than the first where they meet, in metres.

    What both claim as seen is left out: it belongs to one of them.

    Args:
        shapes: of both.
        depth_m: (H, W) float32 of the same image, metres, NaN where unknown.

    Returns:
        Below 0: it is nearer. 0: too little is known, or the difference is too small.
    """
    first, second = shapes
    meeting = _meeting_box(first, second)
    near = _depth_about(first, second, meeting, depth_m)
    far = _depth_about(second, first, meeting, depth_m)
    if near is None or far is None:
        return 0.0
    least = max(_LEAST_STEP_M, _LEAST_STEP_OF_DEPTH * min(near, far))
    return far - near if abs(far - near) >= least else 0.0


def _meeting_box(first: Shape, second: Shape) -> BoxXyxy:
    """Box of the overlap; of what the boxes share, or of the gap between them, where none is."""
    window = common_box(first.box_xyxy, second.box_xyxy)
    x0, y0, x1, y1 = window
    if x0 >= x1 or y0 >= y1:
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
    left, top, right, bottom = mask_box(first.within(window)[0] & second.within(window)[0])
    return (x0 + left, y0 + top, x0 + right, y0 + bottom) if right else window


def _depth_about(
    shape: Shape, other: Shape, meeting: BoxXyxy, depth_m: np.ndarray
) -> float | None:
    """Median depth of what is seen of an object alone about a box, else of all of it.

    None: too little is known.
    """
    left, top, right, bottom = meeting
    about = left - _NEAR_PX, top - _NEAR_PX, right + _NEAR_PX, bottom + _NEAR_PX
    near = _median(shape, other, common_box(about, shape.box_xyxy), depth_m)
    return _median(shape, other, shape.box_xyxy, depth_m) if near is None else near


def _median(shape: Shape, other: Shape, box: BoxXyxy, depth_m: np.ndarray) -> float | None:
    """Median depth of what is seen of an object alone in a box inside of its own."""
    x0, y0, x1, y1 = box
    if x0 >= x1 or y0 >= y1:
        return None
    depths = depth_m[y0:y1, x0:x1][shape.within(box)[1] & ~other.seen_in(box)]
    known = depths[~np.isnan(depths)]
    known = known[:: max(len(known) // _MOST_DEPTHS, 1)]
    if len(known) < _LEAST_DEPTHS:
        return None
    return float(np.partition(known, len(known) // 2)[len(known) // 2])
