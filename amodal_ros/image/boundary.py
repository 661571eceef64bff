# SPDX-License-Identifier: Apache-2.0
"""Boundary F: how well outlines agree, whatever the size of the area between them."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError


def boundary_f(mask: NDArray[np.bool_], other: NDArray[np.bool_], tolerance_px: float) -> float:
    """F-measure of the boundary pixels of two masks.

    A boundary pixel belongs to the mask and has a 4-neighbour that does not (beyond the image's
    border nothing does). It is matched if a boundary pixel of the other mask lies within the
    tolerance. Two empty masks score 1, an empty and another one 0.

    Args:
        mask: (H, W) bool.
        other: (H, W) bool.
        tolerance_px: largest Euclidean distance between pixel centres.

    Raises:
        InvalidInputError: masks that are not bool or of different sizes, or a negative tolerance.
    """
    for one in (mask, other):
        if one.ndim != 2 or one.dtype != np.bool_ or one.shape != mask.shape:
            raise InvalidInputError(
                f"expected two masks (H, W) bool of one size, got {mask.shape} {mask.dtype} and "
                f"{other.shape} {other.dtype}"
            )
    if not tolerance_px >= 0:
        raise InvalidInputError(f"tolerance_px must be >= 0, got {tolerance_px}")
    region = _common_region(mask | other, math.ceil(tolerance_px))
    if region is None:
        return 1.0
    ours, theirs = _boundary(mask)[region], _boundary(other)[region]
    if not ours.any() or not theirs.any():
        return 0.0
    precision = _matched_share(ours, theirs, tolerance_px)
    recall = _matched_share(theirs, ours, tolerance_px)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def diagonal_tolerance(hw: tuple[int, ...], share: float) -> float:
    """A share of the diagonal of an image of height and width ``hw``, in whole pixels, rounded up.

    DAVIS allows 0.008.
    """
    return float(math.ceil(share * math.hypot(*hw)))


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _matched_share(
    boundary: NDArray[np.bool_], other: NDArray[np.bool_], tolerance_px: float
) -> float:
    distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.mean(distance[boundary] <= tolerance_px + 1e-3))


def _common_region(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice] | None:
    """Rows and columns that hold both masks and everything within the tolerance."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return (
        slice(max(rows[0] - margin, 0), rows[-1] + margin + 1),
        slice(max(columns[0] - margin, 0), columns[-1] + margin + 1),
    )
