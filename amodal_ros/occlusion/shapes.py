# SPDX-License-Identifier: Apache-2.0
"""Both masks of an object, in one box, so that a pair is compared where its boxes meet."""

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
