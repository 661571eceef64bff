# SPDX-License-Identifier: Apache-2.0
"""A mask kept as the content of its box: what is compared and moved is as small as its object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from amodal_ros.checks import check_array
from amodal_ros.image.masks import mask_box, near_zeros

BoxXyxy = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class CroppedMask:
    """A mask (H, W) bool of an image; build it with `of` or `at`.

    `a | b`, `a & b` and `a - b` are masks of one image, as with sets.

    Attributes:
        image_hw: (height, width) of the image.
        box_xyxy: tight half-open box, whole original pixels; zeros when the mask is empty.
        crop: (h, w) bool, C-contiguous, the mask inside the box; nobody writes into it.
    """

    image_hw: tuple[int, int]
    box_xyxy: BoxXyxy
    crop: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> CroppedMask:
        """That of a mask (H, W) bool, which is copied from.

        Raises:
            InvalidInputError: for another dtype or rank.
        """
        mask = check_array("mask", mask, np.bool_, (None, None))
        return cls.at((mask.shape[0], mask.shape[1]), (0, 0), mask, copy=True)

    @classmethod
    def at(
        cls,
        image_hw: tuple[int, int],
        corner_xy: tuple[int, int],
        part: np.ndarray,
        copy: bool = False,
    ) -> CroppedMask:
        """A mask that is set in a part of the image alone.

        Args:
            image_hw: (height, width) of the image.
            corner_xy: the original pixel of the part's first; all of it lies in the image.
            part: (h, w) bool.
            copy: also where the part is as small as it can be.
        """
        x0, y0, x1, y1 = mask_box(part) if part.size else (0, 0, 0, 0)
        if x1 == 0:
            return cls.empty(image_hw)
        tight = part[y0:y1, x0:x1]
        left, top = corner_xy
        box = left + x0, top + y0, left + x1, top + y1
        return cls(image_hw, box, tight.copy() if copy else np.ascontiguousarray(tight))

    @classmethod
    def empty(cls, image_hw: tuple[int, int]) -> CroppedMask:
        """The mask without a pixel."""
        return cls(image_hw, (0, 0, 0, 0), np.zeros((0, 0), bool))

    @classmethod
    def filled(cls, image_hw: tuple[int, int], box_xyxy: BoxXyxy) -> CroppedMask:
        """All pixels of a box that lies in the image and is not empty."""
        x0, y0, x1, y1 = box_xyxy
        return cls(image_hw, box_xyxy, np.ones((y1 - y0, x1 - x0), bool))

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.crop))

    @property
    def is_empty(self) -> bool:
        """Whether it has no pixel."""
        return self.box_xyxy[2] == 0

    def full(self) -> np.ndarray:
        """The mask (H, W) bool, a new array."""
        mask = np.zeros(self.image_hw, dtype=bool)
        x0, y0, x1, y1 = self.box_xyxy
        mask[y0:y1, x0:x1] = self.crop
        return mask

    def cut(self, box_xyxy: BoxXyxy) -> np.ndarray:
        """(h, w) bool: the mask in a box of whole pixels, which may leave the image.

        It may be a view of `crop`; nothing is written into it.
        """
        left, top, right, bottom = box_xyxy
        common = common_box(self.box_xyxy, box_xyxy)
        if common is not None and common == box_xyxy:
            return self._view(common)
        window = np.zeros((max(bottom - top, 0), max(right - left, 0)), bool)
        if common is not None:
            x0, y0, x1, y1 = common
            window[y0 - top : y1 - top, x0 - left : x1 - left] = self._view(common)
        return window

    def area_in(self, box_xyxy: BoxXyxy) -> int:
        """Number of its pixels in a box of whole pixels."""
        common = common_box(self.box_xyxy, box_xyxy)
        return 0 if common is None else int(np.count_nonzero(self._view(common)))

    def filled_share(self, box_xyxy: BoxXyxy) -> float:
        """Share of the image's pixels in a box that it has; 0 where the box has none."""
        height, width = self.image_hw
        common = common_box(box_xyxy, (0, 0, width, height))
        if common is None:
            return 0.0
        x0, y0, x1, y1 = common
        return self.area_in(box_xyxy) / ((x1 - x0) * (y1 - y0))

    def which(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(n,) int, which of the pixels in columns x (K,) and rows y (K,), int64, it has."""
        height, width = self.crop.shape
        x, y = x - self.box_xyxy[0], y - self.box_xyxy[1]
        # Without a sign what lies before the box lies far behind it: one comparison for both ends.
        near = np.flatnonzero((x.view(np.uint64) < width) & (y.view(np.uint64) < height))
        return np.asarray(near[self.crop[y[near], x[near]]])

    def shared(self, other: CroppedMask) -> int:
        """Number of pixels that both have."""
        common = common_box(self.box_xyxy, other.box_xyxy)
        if common is None:
            return 0
        return int(np.count_nonzero(self._view(common) & other._view(common)))

    def iou(self, other: CroppedMask) -> float:
        """Intersection over union; 0 when both are empty."""
        common = self.shared(other)
        union = self.area + other.area - common
        return common / union if union else 0.0

    def share_in(self, other: CroppedMask) -> float:
        """Share of its pixels that the other has too; 1 when it is empty."""
        return self.shared(other) / self.area if self.area else 1.0

    def shifted(self, shift_xy: tuple[int, int]) -> CroppedMask:
        """The mask moved by whole pixels, cut off at the image's border; it may be empty."""
        (x0, y0, x1, y1), (right, down) = self.box_xyxy, shift_xy
        height, width = self.image_hw
        box = x0 + right, y0 + down, x1 + right, y1 + down
        inside = common_box(box, (0, 0, width, height))
        if shift_xy == (0, 0):
            return self
        if inside == box:
            moved = CroppedMask(self.image_hw, box, self.crop)
            vars(moved)["area"] = self.area  # of the same pixels, which are counted once
            return moved
        if inside is None:
            return self.empty(self.image_hw)
        left, top, past, below = inside
        part = self.crop[top - box[1] : below - box[1], left - box[0] : past - box[0]]
        return self.at(self.image_hw, (left, top), part)

    def dilated(self, radius: float, step: int = 1) -> CroppedMask:
        """Adds the pixels whose centres are at most `radius` pixels (to 3 %) from one of its own.

        Args:
            radius: in pixels, at least 0.
            step: pixels in one of the grid on which distances are measured, on each axis: with 2
                it takes a third of the time, and outlines are up to a pixel off.
        """
        if self.is_empty:
            return self
        margin = int(radius / step)
        coarse = self.crop[::step, ::step]
        height, width = coarse.shape
        background = np.ones((height + 2 * margin, width + 2 * margin), bool)
        middle = background[margin : margin + height, margin : margin + width]
        np.logical_not(coarse, out=middle)
        near = near_zeros(background.view(np.uint8), radius / step)
        x0, y0, x1, y1 = self.box_xyxy
        reach = margin * step
        left, top, right, bottom = x0 - reach, y0 - reach, x1 + reach, y1 + reach
        if step > 1:  # what lies between the pixels that are looked at may be missed
            first_x, first_y, past_x, past_y = mask_box(near)
            if past_x == 0:
                return self.empty(self.image_hw)
            coarse = near[first_y:past_y, first_x:past_x].view(np.uint8)
            size = coarse.shape[1] * step, coarse.shape[0] * step
            near = cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST).view(bool)
            left, top = left + first_x * step, top + first_y * step
            right, bottom = min(right, left + size[0]), min(bottom, top + size[1])
        # It is as tight as the mask was: nobody has to look for its box.
        height, width = self.image_hw
        box = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        part = near[box[1] - top : box[3] - top, box[0] - left : box[2] - left]
        return CroppedMask(self.image_hw, box, np.ascontiguousarray(part))

    def __or__(self, other: CroppedMask) -> CroppedMask:
        if self.is_empty or other.is_empty:
            return other if self.is_empty else self
        box = box_about(self.box_xyxy, other.box_xyxy)
        if box == self.box_xyxy == other.box_xyxy:
            return CroppedMask(self.image_hw, box, self.crop | other.crop)
        union = np.zeros((box[3] - box[1], box[2] - box[0]), bool)
        for one in (self, other):
            x0, y0, x1, y1 = one.box_xyxy
            union[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]] |= one.crop
        return CroppedMask(self.image_hw, box, union)

    def __and__(self, other: CroppedMask) -> CroppedMask:
        common = common_box(self.box_xyxy, other.box_xyxy)
        if common is None:
            return self.empty(self.image_hw)
        return self.at(self.image_hw, common[:2], self._view(common) & other._view(common))

    def __sub__(self, other: CroppedMask) -> CroppedMask:
        if common_box(self.box_xyxy, other.box_xyxy) is None:
            return self
        rest = self.crop & ~other.cut(self.box_xyxy)
        return self.at(self.image_hw, self.box_xyxy[:2], rest)

    def _view(self, box: BoxXyxy) -> np.ndarray:
        """The crop in a box inside its own."""
        left, top = self.box_xyxy[:2]
        return self.crop[box[1] - top : box[3] - top, box[0] - left : box[2] - left]


def full_masks(masks: Sequence[CroppedMask], image_hw: tuple[int, int]) -> np.ndarray:
    """(N, H, W) bool of N masks of one image."""
    stack = np.zeros((len(masks), *image_hw), dtype=bool)
    for one, mask in zip(masks, stack, strict=True):
        x0, y0, x1, y1 = one.box_xyxy
        mask[y0:y1, x0:x1] = one.crop
    return stack


def tight_boxes(masks: Sequence[CroppedMask]) -> np.ndarray:
    """(N, 4) int32, their tight half-open boxes; zeros of empty ones."""
    return np.array([one.box_xyxy for one in masks], np.int32).reshape(-1, 4)


def common_box(a: BoxXyxy, b: BoxXyxy) -> BoxXyxy | None:
    """What two boxes share; None where that is no pixel."""
    x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def box_about(a: BoxXyxy, b: BoxXyxy) -> BoxXyxy:
    """The smallest box about both; about one alone where the other is an empty mask's."""
    if a[2] == 0 or b[2] == 0:
        return b if a[2] == 0 else a
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def outlines(mask: CroppedMask, tolerance_px: float, holes: bool = True) -> list[np.ndarray]:
    """Closed polygons around each part of a mask, and around each hole in it.

    Args:
        mask: of an image.
        tolerance_px: so far a line may be from the centres of the border's pixels.
        holes: whether those around holes are wanted too.

    Returns:
        (P, 2) float64 each, x and y in continuous pixels of the image (a pixel's centre is at a
        half), without the first point again. A part of one pixel is one point.
    """
    if mask.is_empty:
        return []
    crop = mask.crop.view(np.uint8)
    mode = cv2.RETR_CCOMP if holes else cv2.RETR_EXTERNAL
    found, _ = cv2.findContours(crop, mode, cv2.CHAIN_APPROX_NONE)
    corner = np.array(mask.box_xyxy[:2]) + 0.5
    return [cv2.approxPolyDP(one, tolerance_px, True)[:, 0] + corner for one in found]
