# SPDX-License-Identifier: Apache-2.0
"""Boundary F as a metric over instances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from amodal_ros.image.boundary import boundary_f, diagonal_tolerance

DAVIS_TOLERANCE = 0.008  # of the image diagonal, as in the DAVIS benchmark


def davis_tolerance(hw: tuple[int, int]) -> float:
    """The tolerance DAVIS uses for an image of this size, in whole pixels."""
    return diagonal_tolerance(hw, DAVIS_TOLERANCE)


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
