# SPDX-License-Identifier: Apache-2.0
"""What a detector measures its boxes in, and the way from there to pixels of the image."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from amodal_ros.errors import InvalidInputError

_SIZED = re.compile(r"(stretch|letterbox)_([1-9]\d{0,4})x([1-9]\d{0,4})")
EXPECTED = "automatic, pixels, normalised, stretch_WIDTHxHEIGHT or letterbox_WIDTHxHEIGHT"


@dataclass(frozen=True)
class BoxUnits:
    """Units of boxes.

    Attributes:
        name: ``automatic``: pixels, and boxes that seem to be something else are told of;
            ``pixels``: that was checked; ``normalised``: parts of the image's width and height;
            ``stretch``, ``letterbox``: pixels of a detector's input of a given size, into which
            the image was stretched, or scaled evenly and centred with bars beside it.
        width: of that input in pixels.
        height: likewise.
    """

    name: str = "automatic"
    width: int = 0
    height: int = 0

    @classmethod
    def parse(cls, text: str) -> BoxUnits:
        """Read the value of the parameter ``box_units``.

        Raises:
            InvalidInputError: if it is none of ``EXPECTED``.
        """
        if text in ("automatic", "pixels", "normalised"):
            return cls(text)
        sized = _SIZED.fullmatch(text)
        if sized is None:
            raise InvalidInputError(f"parameter box_units is {text!r}, expected {EXPECTED}")
        return cls(sized[1], int(sized[2]), int(sized[3]))

    def to_pixels(self, boxes_xyxy: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
        """Boxes (N, 4) float64 in pixels of the image, from boxes (N, 4) in these units."""
        height, width = image_hw
        if self.name == "normalised":
            return boxes_xyxy * np.array([width, height, width, height], np.float64)
        if self.name == "stretch":
            scale_x, scale_y = width / self.width, height / self.height
            return boxes_xyxy * np.array([scale_x, scale_y, scale_x, scale_y])
        if self.name == "letterbox":
            scale = min(self.width / width, self.height / height)
            bar_x, bar_y = (self.width - scale * width) / 2, (self.height - scale * height) / 2
            return (boxes_xyxy - np.array([bar_x, bar_y, bar_x, bar_y])) / scale
        return boxes_xyxy
