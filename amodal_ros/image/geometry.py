# SPDX-License-Identifier: Apache-2.0
"""Between an original image and the model's square input: one type for letterbox, stretch and roi.

Coordinates are continuous in both frames: pixel i covers [i, i + 1), its centre is i + 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.checks import check_array, check_hw
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import box_iou, boxes_to_masks, check_boxes, clip_boxes, expand_boxes
from amodal_ros.image.cropped import CroppedMask, full_masks
from amodal_ros.image.masks import dilate_mask, mask_boxes
from amodal_ros.image.resample import AxisMap, nearest_mask, threshold_logits

__all__ = [
    "ResizeGeometry",
    "box_iou",
    "boxes_to_masks",
    "clip_boxes",
    "dilate_mask",
    "expand_boxes",
    "mask_boxes",
]

_MAX_ROI_SIDES = (
    8  # a region larger than this many image sides is a mistake, and would not fit in memory
)


@dataclass(frozen=True)
class ResizeGeometry:
    """A region of the original image, scaled into the top left part of the model's input.

    Attributes:
        original_hw: (height, width) of the image.
        source_xyxy: the region (x0, y0, x1, y1), in whole original pixels; it may reach outside
            the image.
        content_hw: (height, width) of the region in the input; the rest is padding.
        input_hw: (height, width) of the input.
    """

    original_hw: tuple[int, int]
    source_xyxy: tuple[int, int, int, int]
    content_hw: tuple[int, int]
    input_hw: tuple[int, int]

    def __post_init__(self) -> None:
        """Checks the sizes.

        Raises:
            InvalidInputError: for an empty size or region, or content larger than the input.
        """
        for name in ("original_hw", "content_hw", "input_hw"):
            check_hw(name, getattr(self, name))
        x0, y0, x1, y1 = self.source_xyxy
        if not (x0 < x1 and y0 < y1):
            raise InvalidInputError(
                f"source_xyxy: expected x0 < x1, y0 < y1, got {self.source_xyxy}"
            )
        if self.content_hw[0] > self.input_hw[0] or self.content_hw[1] > self.input_hw[1]:
            raise InvalidInputError(
                f"content_hw: expected at most input_hw {self.input_hw}, got {self.content_hw}"
            )

    @classmethod
    def letterbox(cls, original_hw: tuple[int, int], input_size: int) -> ResizeGeometry:
        """SAM's geometry: the longest side becomes `input_size`, padding at the bottom or right.

        The rounding is that of `segment_anything.utils.transforms.ResizeLongestSide`.
        """
        height, width = check_hw("original_hw", original_hw)
        scale = input_size / max(height, width)
        content = max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1)
        return cls((height, width), (0, 0, width, height), content, (input_size, input_size))

    @classmethod
    def stretch(cls, original_hw: tuple[int, int], input_size: int) -> ResizeGeometry:
        """SAM 2's geometry: the image becomes a square, whatever its aspect ratio."""
        height, width = check_hw("original_hw", original_hw)
        square = (input_size, input_size)
        return cls((height, width), (0, 0, width, height), square, square)

    @classmethod
    def roi(
        cls, original_hw: tuple[int, int], box_xyxy: ArrayLike, input_size: int
    ) -> ResizeGeometry:
        """A square about the centre of a box, the smallest in whole pixels that contains it.

        Args:
            original_hw: (height, width) of the image.
            box_xyxy: (4,) in original pixels; it must overlap the image, and may reach outside.
            input_size: side of the input.

        Raises:
            InvalidInputError: for a box not finite, inverted, empty, outside or far too large.
        """
        height, width = check_hw("original_hw", original_hw)
        box = check_boxes("box_xyxy", np.asarray(box_xyxy)[None], (height, width))[0]
        x0, y0, x1, y1 = (float(value) for value in box)
        side = max(x1 - x0, y1 - y0)
        if side > _MAX_ROI_SIDES * max(height, width):
            raise InvalidInputError(
                f"box_xyxy: expected sides of at most {_MAX_ROI_SIDES} times the image's"
                f" {width}x{height}, got {box.tolist()}"
            )
        left = int(np.floor((x0 + x1 - side) / 2))
        top = int(np.floor((y0 + y1 - side) / 2))
        length = max(int(np.ceil(x1)) - left, int(np.ceil(y1)) - top, int(np.ceil(side)))
        square = (input_size, input_size)
        return cls((height, width), (left, top, left + length, top + length), square, square)

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Input pixels per original pixel, along x and y."""
        x0, y0, x1, y1 = self.source_xyxy
        return self.content_hw[1] / (x1 - x0), self.content_hw[0] / (y1 - y0)

    @property
    def matrix(self) -> np.ndarray:
        """Affine matrix (2, 3) float64 from original to input coordinates, both continuous."""
        (scale_x, scale_y), (x0, y0, _, _) = self.scale_xy, self.source_xyxy
        return np.array([[scale_x, 0, -x0 * scale_x], [0, scale_y, -y0 * scale_y]])

    def points_to_input(self, points: ArrayLike) -> np.ndarray:
        """Maps points (..., 2) as x, y from original to input pixels; float32."""
        scaled = np.asarray(points, dtype=np.float64) - self.source_xyxy[:2]
        return (scaled * self.scale_xy).astype(np.float32)

    def boxes_to_input(self, boxes_xyxy: ArrayLike) -> np.ndarray:
        """Maps boxes (N, 4) from original to input pixels; float32."""
        corners = np.asarray(boxes_xyxy).reshape(-1, 2, 2)
        return self.points_to_input(corners).reshape(-1, 4)

    def masks_to_input(self, masks: np.ndarray) -> np.ndarray:
        """Carries masks (N, H, W) bool of the original into the input frame: the form of M_spec.

        Returns:
            (N, 1, S, S) float32 of 0 and 1, nearest neighbour; padding is 0.

        Raises:
            InvalidInputError: for another dtype or size.
        """
        masks = check_array("masks", masks, np.bool_, (None, *self.original_hw))
        carried = np.zeros((len(masks), 1, *self.input_hw), dtype=np.float32)
        for mask, target in zip(masks, carried[:, 0], strict=True):
            self.mask_into(CroppedMask.of(mask), target)
        return carried

    def mask_into(self, mask: CroppedMask, target: np.ndarray) -> None:
        """Does `masks_to_input` for one mask of the original into an array (S, S), 0 on entry."""
        rows, columns = self._original_under_input()
        nearest_mask(mask, rows, columns, target)

    def logits_to_original(self, logits: np.ndarray, threshold: float = 0.0) -> np.ndarray:
        """Carries low-res logits of the input frame to masks of the original image.

        Args:
            logits: (N, 1, s, s) float32; they cover the whole input.
            threshold: a pixel belongs to the mask where its interpolated logit is greater.

        Returns:
            (N, H, W) bool; False outside the region of a roi.

        Raises:
            InvalidInputError: for another dtype or rank.
        """
        logits = check_array("logits", logits, np.float32, (None, 1, None, None))
        masks = [self.mask_of_logits(low_res, threshold) for low_res in logits[:, 0]]
        return full_masks(masks, self.original_hw)

    def mask_of_logits(self, logits: np.ndarray, threshold: float) -> CroppedMask:
        """Does `logits_to_original` for one map (s, s) float32."""
        rows, columns = self._logits_under_original(*logits.shape)
        return threshold_logits(logits, rows, columns, threshold)

    def _original_under_input(self) -> tuple[AxisMap, AxisMap]:
        """Where input rows and columns fall in the original image."""
        (scale_x, scale_y), (x0, y0, _, _) = self.scale_xy, self.source_xyxy
        (height, width), (input_height, input_width) = self.original_hw, self.input_hw
        rows = AxisMap(input_height, height, 1 / scale_y, y0)
        return rows, AxisMap(input_width, width, 1 / scale_x, x0)

    def _logits_under_original(self, low_height: int, low_width: int) -> tuple[AxisMap, AxisMap]:
        """Where original rows and columns fall in low-res logits that cover the input."""
        (scale_x, scale_y), (x0, y0, _, _) = self.scale_xy, self.source_xyxy
        scale_x *= low_width / self.input_hw[1]
        scale_y *= low_height / self.input_hw[0]
        rows = AxisMap(self.original_hw[0], low_height, scale_y, -y0 * scale_y)
        return rows, AxisMap(self.original_hw[1], low_width, scale_x, -x0 * scale_x)
