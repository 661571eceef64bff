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
        left, top = self.box_xyxy[:2]
        part = np.s_[window[1] - top : window[3] - top, window[0] - left : window[2] - left]
        return self.amodal[part], self.visible[part]

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


_NOBODY = -1


@dataclass(frozen=True, eq=False)
class Painted:
    """N objects over one another.

    Attributes:
        count: number N of objects.
        seen: (H, W) int16, index of the object that is seen there, -1: none.
        top: (H, W) int16, likewise; where none is seen, of the foremost one whose amodal mask has
            the pixel.
    """

    count: int
    seen: np.ndarray
    top: np.ndarray

    def seen_of(self, index: int, shape: Shape) -> np.ndarray:
        """(h, w) bool in the object's box: what is seen of it, and of no other."""
        x0, y0, x1, y1 = shape.box_xyxy
        return np.asarray(self.seen[y0:y1, x0:x1] == index)

    def covers_of(self, index: int, shape: Shape) -> np.ndarray:
        """(N,) int: how many hidden pixels of an object each other one covers.

        Those that none covers count as its own.
        """
        x0, y0, x1, y1 = shape.box_xyxy
        hidden = shape.amodal & ~self.seen_of(index, shape)
        return np.bincount(self.top[y0:y1, x0:x1][hidden], minlength=self.count)


def paint(
    shapes: Sequence[Shape], front_to_back: Sequence[int], image_hw: tuple[int, int]
) -> Painted:
    """Paint some of the objects.

    Args:
        shapes: of N objects.
        front_to_back: indices of those that are painted.
        image_hw: (height, width) of the image.
    """
    seen, top = (np.full(image_hw, _NOBODY, np.int16) for _ in range(2))
    back_to_front = front_to_back[::-1]
    for index in back_to_front:
        _fill(top, shapes[index].box_xyxy, shapes[index].amodal, index)
    for canvas in (seen, top):
        for index in back_to_front:
            _fill(canvas, shapes[index].box_xyxy, shapes[index].visible, index)
    return Painted(len(shapes), seen, top)


def _fill(canvas: np.ndarray, box: BoxXyxy, mask: np.ndarray, index: int) -> None:
    x0, y0, x1, y1 = box
    np.copyto(canvas[y0:y1, x0:x1], np.int16(index), where=mask)
