# SPDX-License-Identifier: Apache-2.0
"""Operations on binary masks (N, H, W) or (H, W) bool."""

from __future__ import annotations

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Tight half-open box (x0, y0, x1, y1) of a mask (H, W) bool; zeros when empty."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    if width == 0:
        return 0, 0, 0, 0
    return x, y, x + width, y + height


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """Tight half-open boxes (N, 4) int32 of masks (N, H, W) bool; zeros when empty."""
    boxes = np.zeros((len(masks), 4), dtype=np.int32)
    for index, mask in enumerate(masks):
        boxes[index] = mask_box(mask)
    return boxes


def mask_areas(masks: np.ndarray) -> np.ndarray:
    """Number of pixels (N,) int64 of masks (N, H, W) bool."""
    return np.array([np.count_nonzero(mask) for mask in masks], dtype=np.int64)


def mask_iou(mask_a: np.ndarray, mask_b: np.ndarray) -> float:
    """Intersection over union of two masks (H, W) bool; 0 when both are empty."""
    union = np.count_nonzero(mask_a | mask_b)
    return np.count_nonzero(mask_a & mask_b) / union if union else 0.0


def dilate_mask(mask: np.ndarray, radius: float) -> np.ndarray:
    """Adds the pixels whose centres are at most `radius` pixels (to 3 %) from one of the mask's.

    Args:
        mask: (H, W) bool.
        radius: in pixels, at least 0.

    Returns:
        (H, W) bool, a new array.

    Raises:
        InvalidInputError: for a radius that is negative or not finite.
    """
    if not (np.isfinite(radius) and radius >= 0):
        raise InvalidInputError(f"radius: expected a finite number >= 0, got {radius}")
    dilated = np.zeros(mask.shape, dtype=bool)
    x0, y0, x1, y1 = mask_box(mask)
    if x1 == 0:
        return dilated
    margin = int(np.floor(radius))
    rows = slice(max(y0 - margin, 0), min(y1 + margin, mask.shape[0]))
    columns = slice(max(x0 - margin, 0), min(x1 + margin, mask.shape[1]))
    background = np.logical_not(mask[rows, columns]).view(np.uint8)
    dilated[rows, columns] = near_zeros(background, radius)
    return dilated


def near_zeros(background: np.ndarray, radius: float) -> np.ndarray:
    """(H, W) bool: the pixels at most `radius` pixels (to 3 %) from a zero of (H, W) uint8."""
    # The distance costs the same for every radius; a large structuring element does not. With the
    # 5x5 mask it is within 3 % of the Euclidean one, at less than half the time of the exact one.
    distance = cv2.distanceTransform(background, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance <= radius + 1e-4)
