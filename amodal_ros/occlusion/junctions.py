# SPDX-License-Identifier: Apache-2.0
"""Whose outline goes on where the common border of two objects ends.

At the end of the border three outlines meet. That of the object in front passes on nearly
straight; that of the one behind ends there, at an angle (a T-junction). That is told by what is
seen of two objects alone, whatever was completed of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from amodal_ros.image.cropped import BoxXyxy, common_box
from amodal_ros.occlusion.shapes import Shape

# All lengths are parts of the side of a square as large as what is seen of the smaller object.
_NEAR, _LEAST_NEAR_PX = 0.025, 2  # outlines that are so near to each other are one border
_LEG, _LEAST_LEG_PX = 0.1, 6  # an outline's direction is that to its point so far on
_LEAST_BORDER_PX = 5
_FULL_DEG = 40.0  # a difference of angles that counts in full


class Junctions:
    """Compares the outlines of the objects of one image where their borders end.

    Args:
        shapes: of N objects.
    """

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._shapes = shapes
        self._outlines = cache(self._outlines_of)
        self._side = cache(self._side_of)
        self._beside = cache(lambda index, near: _Beside(shapes[index], near))

    def towards_first(self, first: int, second: int) -> float:
        """Above 0: the outline of the first goes on, so it lies in front.

        Args:
            first: index of an object.
            second: likewise.

        Returns:
            From -1 to 1; 0: what is seen of the two has no common border, or it does not tell.
        """
        side = min(self._side(first), self._side(second))
        near = max(_LEAST_NEAR_PX, round(_NEAR * side))
        leg = max(_LEAST_LEG_PX, int(_LEG * side))
        box, other = (self._shapes[index].box_xyxy for index in (first, second))
        if not side or not _touch(box, other, near):
            return 0.0
        own, others = self._angle(first, second, near, leg), self._angle(second, first, near, leg)
        if own is None or others is None:
            return 0.0
        return min(max((own - others) / _FULL_DEG, -1.0), 1.0)

    def _angle(self, index: int, other: int, near: int, leg: int) -> float | None:
        """Of an outline where its border with another object ends, in degrees; 180: straight.

        The mean over the ends of all borders; None: there is none.
        """
        angles = []
        beside = self._beside(other, near)
        for outline in self._outlines(index):
            if len(outline) < 4 * leg:
                continue
            near_it = beside.holds(outline)
            if not near_it.any():
                continue
            for start, length in _runs(_joined(near_it, leg // 2)):
                if length < _LEAST_BORDER_PX:
                    continue
                for end, ahead in ((start, -1), (start + length - 1, 1)):
                    angles.append(_turn(outline, end, ahead * leg, -ahead * min(leg, length)))
        return float(np.mean(angles)) if angles else None

    def _outlines_of(self, index: int) -> list[np.ndarray]:
        """Closed outlines (P, 2) of the parts of what is seen, pixels of the image."""
        shape = self._shapes[index]
        seen = shape.visible.view(np.uint8)
        found, nesting = cv2.findContours(seen, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        if nesting is None:
            return []
        corner, holes = np.array(shape.box_xyxy[:2]), nesting[0, :, 3] >= 0
        return [line[:, 0] + corner for line, hole in zip(found, holes, strict=True) if not hole]

    def _side_of(self, index: int) -> float:
        return math.sqrt(np.count_nonzero(self._shapes[index].visible))


class _Beside:
    """What lies at most `near` pixels from what is seen of an object."""

    def __init__(self, shape: Shape, near: int) -> None:
        seen = shape.visible.view(np.uint8)
        padded = cv2.copyMakeBorder(seen, near, near, near, near, cv2.BORDER_CONSTANT, value=0)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * near + 1, 2 * near + 1))
        self._grown = cv2.dilate(padded, disc)
        self._corner = np.array(shape.box_xyxy[:2]) - near

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (P, 2) of the image lie there: (P,) bool."""
        x, y = (points - self._corner).T
        height, width = self._grown.shape
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        inside[inside] = self._grown[y[inside], x[inside]] > 0
        return np.asarray(inside)


def _touch(one: BoxXyxy, other: BoxXyxy, near: int) -> bool:
    left, top, right, bottom = one
    return common_box((left - near, top - near, right + near, bottom + near), other) is not None


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Start and length of each run of a closed line (P,) bool that is not set all around."""
    turns = (np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist()
    if len(turns) % 2:  # the line's first point differs from its last
        turns.insert(0, 0)
    if turns and not flags[turns[0]]:  # a run goes on past the line's last point
        turns.append(turns.pop(0) + len(flags))
    return [(start, end - start) for start, end in zip(turns[::2], turns[1::2], strict=True)]


def _joined(flags: np.ndarray, gap: int) -> np.ndarray:
    """With the gaps of at most so many points filled."""
    filled = flags.copy()
    for start, length in _runs(~flags):
        if length <= gap:
            filled[start : start + length] = True
            filled[: max(start + length - len(flags), 0)] = True
    return filled


def _turn(outline: np.ndarray, at: int, one: int, other: int) -> float:
    """The angle at a point of a closed line between the points so far before and behind it."""
    count = len(outline)
    places = [at % count, (at + one) % count, (at + other) % count]
    (x, y), (x0, y0), (x1, y1) = outline[places].tolist()
    x0, y0, x1, y1 = x0 - x, y0 - y, x1 - x, y1 - y
    lengths = math.sqrt(x0**2 + y0**2) * math.sqrt(x1**2 + y1**2)
    cosine = (x0 * x1 + y0 * y1) / lengths if lengths else 1.0
    return math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))
