# SPDX-License-Identifier: Apache-2.0
"""Both masks of an object in one box: compared where boxes meet, painted from back to front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.image.cropped import BoxXyxy, CroppedMask, common_box


@dataclass(frozen=True, eq=False)
class Shape:
    """An object.

    Attributes:
        box_xyxy: half-open box of the amodal mask, whole original pixels; zeros: it is empty.
        amodal: (h, w) bool in that box.
        visible: (h, w) bool, inside the amodal mask.
        area: pixels of the amodal mask.
    """

    box_xyxy: BoxXyxy
    amodal: np.ndarray
    visible: np.ndarray
    area: int

    @classmethod
    def of(cls, visible: CroppedMask, amodal: CroppedMask) -> Shape:
        """Of masks of one image; what is seen beyond the amodal mask is left out."""
        seen = visible.cut(amodal.box_xyxy) & amodal.crop
        return cls(amodal.box_xyxy, amodal.crop, seen, amodal.area)

    @property
    def height(self) -> int:
        """Pixels from its top to its foot."""
        return self.box_xyxy[3] - self.box_xyxy[1]

    def within(self, window: BoxXyxy) -> tuple[np.ndarray, np.ndarray]:
        """Views of the amodal and the visible mask in a window inside of the box."""
        part = self.part(window)
        return self.amodal[part], self.visible[part]

    def part(self, window: BoxXyxy) -> tuple[slice, slice]:
        """Rows and columns of its arrays in a window inside of the box."""
        left, top = self.box_xyxy[:2]
        return np.s_[window[1] - top : window[3] - top, window[0] - left : window[2] - left]

    def seen_in(self, box: BoxXyxy) -> np.ndarray:
        """What is seen of it in any box, (h, w) bool, a new array."""
        seen = np.zeros((box[3] - box[1], box[2] - box[0]), bool)
        window = common_box(self.box_xyxy, box)
        if window is not None:
            x0, y0, x1, y1 = window
            place = np.s_[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]
            seen[place] = self.within(window)[1]
        return seen


def meeting_pairs(shapes: Sequence[Shape]) -> list[tuple[int, int]]:
    """Indices of objects that overlap, or are nearer than the larger one is long, by their boxes.

    A completion may fall short of the place where two objects overlap. The lower index is first.
    """
    boxes = np.array([shape.box_xyxy for shape in shapes], np.int32).reshape(-1, 4)
    sides = boxes[:, 2:] - boxes[:, :2]
    gaps = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    gaps -= np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    near = (gaps < np.maximum(sides[:, None], sides[None])).all(axis=2)
    holds = sides[:, 0] > 0  # empty masks meet nobody
    near &= holds[:, None] & holds[None]
    return [(int(one), int(other)) for one, other in np.argwhere(np.triu(near, k=1))]


class Painted:
    """Some objects over one another, each in its own box: no picture of the whole image is needed.

    Args:
        shapes: of N objects.
        front_to_back: indices of those that are painted.
    """

    def __init__(self, shapes: Sequence[Shape], front_to_back: Sequence[int]) -> None:
        self._shapes = shapes
        self._front_to_back = front_to_back
        self._seen: dict[int, np.ndarray] = {}

    def seen_of(self, index: int) -> np.ndarray:
        """(h, w) bool in the box of an object that is painted: what is seen of it alone."""
        if index not in self._seen:
            shape = self._shapes[index]
            seen = shape.visible.copy()
            for front in self._front_to_back[: self._front_to_back.index(index)]:
                window = common_box(shape.box_xyxy, self._shapes[front].box_xyxy)
                if window is not None:
                    seen[shape.part(window)] &= ~self._shapes[front].within(window)[1]
            self._seen[index] = seen
        return self._seen[index]

    def covers_of(self, index: int) -> np.ndarray:
        """(N,) int: how many hidden pixels of an object each other one covers.

        It is the one that is seen there or, where none is, the foremost one whose amodal mask has
        the pixel. Those that none covers count as its own.
        """
        shape = self._shapes[index]
        hidden = shape.amodal & ~self.seen_of(index)
        if not hidden.any():
            return np.zeros(len(self._shapes), np.intp)
        top = np.full(hidden.shape, index, np.int16)
        meeting = [
            (one, window)
            for one in reversed(self._front_to_back)
            if (window := common_box(shape.box_xyxy, self._shapes[one].box_xyxy)) is not None
        ]
        for which in (0, 1):  # what is seen lies over all amodal masks
            for one, window in meeting:
                mask = self._shapes[one].within(window)[which]
                np.copyto(top[shape.part(window)], np.int16(one), where=mask)
        return np.bincount(top[hidden], minlength=len(self._shapes))
