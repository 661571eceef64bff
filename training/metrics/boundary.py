# SPDX-License-Identifier: Apache-2.0
"""Boundary F: how well outlines agree, whatever the size of the area between them."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from training.metrics.overlap import check_masks

DAVIS_TOLERANCE = 0.008  # of the image diagonal, as in the DAVIS benchmark


def boundary_f(
    prediction: NDArray[np.bool_], target: NDArray[np.bool_], tolerance_px: float
) -> float:
    """F-measure of the boundary pixels of two masks.

    A boundary pixel belongs to the mask and has a 4-neighbour that does not (beyond the image's
    border nothing does). It is matched if a boundary pixel of the other mask lies within the
    tolerance. Two empty masks score 1, an empty and another one 0.

    Args:
        prediction: (H, W) bool.
        target: (H, W) bool.
        tolerance_px: largest Euclidean distance between pixel centres.

    Raises:
        InvalidInputError: masks that are not bool or of different sizes, or a negative tolerance.
    """
    check_masks(prediction=prediction, target=target)
    if not tolerance_px >= 0:
        raise InvalidInputError(f"tolerance_px must be >= 0, got {tolerance_px}")
    region = _common_region(prediction | target, math.ceil(tolerance_px))
    if region is None:
        return 1.0
    ours, theirs = _boundary(prediction)[region], _boundary(target)[region]
    if not ours.any() or not theirs.any():
        return 0.0
    precision = _matched_share(ours, theirs, tolerance_px)
    recall = _matched_share(theirs, ours, tolerance_px)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def davis_tolerance(hw: tuple[int, int]) -> float:
    """The tolerance DAVIS uses for an image of this size, in whole pixels."""
    return float(math.ceil(DAVIS_TOLERANCE * math.hypot(*hw)))


class BoundaryF:
    """Mean boundary F over instances, tolerance as in DAVIS unless given."""

    def __init__(self, tolerance_px: float | None = None) -> None:
        """Start empty.

        Args:
            tolerance_px: fixed tolerance; None: 0.008 of each image's diagonal, rounded up.
        """
        self._tolerance = tolerance_px
        self._scores: list[float] = []

    def update(self, prediction: NDArray[np.bool_], amodal: NDArray[np.bool_]) -> float:
        """Add one instance, masks (H, W) bool, and return its score.

        Raises:
            InvalidInputError: masks that are not bool or of different sizes.
        """
        tolerance = self._tolerance
        if tolerance is None:
            tolerance = davis_tolerance((amodal.shape[0], amodal.shape[1]))
        score = boundary_f(prediction, amodal, tolerance)
        self.add(score)
        return score

    def add(self, score: float) -> None:
        """Add one instance scored before."""
        self._scores.append(score)

    def compute(self) -> float | None:
        """The mean so far, in [0, 1]; None without instances."""
        return sum(self._scores) / len(self._scores) if self._scores else None


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
