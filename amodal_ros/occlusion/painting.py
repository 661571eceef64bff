# SPDX-License-Identifier: Apache-2.0
"""Objects painted from back to front: to whom each pixel belongs, and who covers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.image.cropped import BoxXyxy
from amodal_ros.occlusion.shapes import Shape

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
