# SPDX-License-Identifier: Apache-2.0
"""Connected pieces of masks."""

from __future__ import annotations

import cv2
import numpy as np

_THIN = 1 / 8


def piece_areas(mask: np.ndarray) -> np.ndarray:
    """Pixel counts of the 8-connected pieces of an (H, W) bool or uint8 mask, any order."""
    binary = np.ascontiguousarray(mask).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(binary)
    if width == 0:
        return np.zeros(0, np.int64)
    crop = binary[y : y + height, x : x + width]  # labelling costs per pixel
    stats = cv2.connectedComponentsWithStats(np.ascontiguousarray(crop), connectivity=8)[2]
    return stats[1:, cv2.CC_STAT_AREA].astype(np.int64)


def largest_piece_share(mask: np.ndarray) -> float:
    """Share of the mask that its largest piece holds; 0 for an empty mask."""
    areas = piece_areas(mask)
    return float(areas.max() / areas.sum()) if len(areas) else 0.0


def solidity(mask: np.ndarray) -> float:
    """Area of a mask divided by the area of its convex hull; 0 for an empty mask."""
    binary = np.ascontiguousarray(mask).astype(np.uint8)
    points = cv2.findNonZero(binary)
    if points is None:
        return 0.0
    hull = cv2.fillConvexPoly(np.zeros_like(binary), cv2.convexHull(points), 1)
    return float(binary.sum() / hull.sum())


def is_thin(mask: np.ndarray) -> bool:
    """Whether a mask is nowhere thicker than an eighth of its length.

    Length is that of the longer side of the least rectangle around it, thickness twice the
    largest distance of a pixel from the outside.
    """
    points = cv2.findNonZero(np.ascontiguousarray(mask).astype(np.uint8))
    if points is None:
        return False
    x, y, width, height = cv2.boundingRect(points)
    crop = np.pad(np.ascontiguousarray(mask[y : y + height, x : x + width]).astype(np.uint8), 1)
    thickness = 2 * float(cv2.distanceTransform(crop, cv2.DIST_L2, 5).max())
    return thickness <= _THIN * max(cv2.minAreaRect(points)[1])
