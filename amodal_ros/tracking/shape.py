# SPDX-License-Identifier: Apache-2.0
"""Masks and boxes that are kept over time and moved with what they show.

A motion is an affine matrix (2, 3) float64 that takes a point of an earlier frame to this one,
both in original pixels, where pixel i covers [i, i + 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from amodal_ros.image.masks import mask_box

IDENTITY = np.eye(2, 3)
_STILL_PX = 1e-3
_HALF = 0.5


@dataclass(frozen=True, eq=False)
class Silhouette:
    """A mask, kept as the content of its box: small, and cheap to move.

    Attributes:
        box_xyxy: tight half-open box, whole original pixels.
        crop: (h, w) bool, the mask inside the box; a copy.
    """

    box_xyxy: tuple[int, int, int, int]
    crop: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Silhouette | None:
        """That of a mask (H, W) bool; None for an empty one."""
        x0, y0, x1, y1 = mask_box(mask)
        return cls((x0, y0, x1, y1), mask[y0:y1, x0:x1].copy()) if x1 else None

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.crop))

    def contains(self, points_xy: np.ndarray) -> np.ndarray:
        """Which of the points (K, 2) lie on it: (K,) bool."""
        x0, y0, x1, y1 = self.box_xyxy
        pixels = np.floor(points_xy).astype(np.int64).reshape(-1, 2)
        inside = ((pixels >= (x0, y0)) & (pixels < (x1, y1))).all(axis=1)
        inside[inside] = self.crop[pixels[inside, 1] - y0, pixels[inside, 0] - x0]
        return inside

    def moved(self, motion: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
        """The mask (H, W) bool after a motion, cut off at the image's border; it may be empty."""
        mask = np.zeros(image_hw, dtype=bool)
        x0, y0, x1, y1 = _pixels_around(self.box_xyxy, motion, image_hw)
        if x0 >= x1 or y0 >= y1:
            return mask
        if np.abs(motion - IDENTITY).max() < _STILL_PX:
            left, top = self.box_xyxy[:2]
            mask[y0:y1, x0:x1] = self.crop[y0 - top : y1 - top, x0 - left : x1 - left]
            return mask
        # OpenCV's coordinates are 0 at the middle of the first pixel, and those of the crops.
        shift = motion.copy()
        corner = np.array(self.box_xyxy[:2]) + _HALF
        shift[:, 2] += motion[:, :2] @ corner - (x0 + _HALF, y0 + _HALF)
        size = (x1 - x0, y1 - y0)
        levels = cv2.warpAffine(self.crop.view(np.uint8) * np.uint8(255), shift, size)
        mask[y0:y1, x0:x1] = levels > 127
        return mask


def move_points(points_xy: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Points (K, 2) after a motion, float64."""
    return np.asarray(points_xy, np.float64) @ motion[:, :2].T + motion[:, 2]


def move_boxes(boxes_xyxy: object, motion: np.ndarray) -> np.ndarray:
    """Upright boxes (K, 4) float64: the middle moves, the size follows the change of scale."""
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    middle = move_points((boxes[:, :2] + boxes[:, 2:]) / 2, motion)
    scale = np.sqrt(abs(np.linalg.det(motion[:, :2])))
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    return np.concatenate([middle - half, middle + half], axis=1)


def compose(later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """The motion `earlier`, then `later`, as one."""
    linear = later[:, :2] @ earlier[:, :2]
    return np.concatenate([linear, (later[:, :2] @ earlier[:, 2:]) + later[:, 2:]], axis=1)


def _pixels_around(
    box: tuple[int, int, int, int], motion: np.ndarray, image_hw: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The whole pixels of the image that a box may cover after a motion."""
    x0, y0, x1, y1 = box
    corners = move_points(np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)]), motion)
    limits = np.array(image_hw[::-1])
    low = np.clip(np.floor(corners.min(axis=0) + _STILL_PX), 0, limits).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) - _STILL_PX), 0, limits).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
