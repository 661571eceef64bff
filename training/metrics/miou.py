# SPDX-License-Identifier: Apache-2.0
"""Mean and pooled IoU over whole objects and over what is hidden of them, as papers define them.

``c2f`` itself is in `amodal_ros.metrics`, as the demo uses it too. Each class has ``update``
(masks), ``add`` (an `Overlap` counted before) and ``compute``. Results are fractions in [0, 1];
what cannot be computed, a mean over nothing, is None (null in reports).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boundary import boundary_f, diagonal_tolerance
from amodal_ros.metrics import MaskMetric, MiouResult, Overlap, check_masks

SAVOS_RANGE = (0.1, 0.7)


class PooledMiou(MaskMetric):
    """``pooled``: sum of intersections over sum of unions (deocclusion, SDAmodal).

    Large objects dominate; not comparable with the means.
    """

    def __init__(self) -> None:
        self._full = [0, 0]
        self._hidden = [0, 0]
        self._n = 0
        self._n_occluded = 0

    def add(self, overlap: Overlap) -> None:
        """Add one instance whose pixels are counted already."""
        self._full[0] += overlap.full_intersection
        self._full[1] += overlap.full_union
        self._hidden[0] += overlap.hidden_intersection
        self._hidden[1] += overlap.hidden_union
        self._n += 1
        self._n_occluded += overlap.is_occluded

    def compute(self) -> MiouResult:
        """The ratios so far."""
        return MiouResult(
            miou_full=self._full[0] / self._full[1] if self._full[1] else None,
            miou_occ=self._hidden[0] / self._hidden[1] if self._hidden[1] else None,
            n=self._n,
            n_occluded=self._n_occluded,
        )


class OccludedOnlyMiou(MaskMetric):
    """``occluded-only``: plain means over the instances with an occlusion rate in SaVos' range."""

    def __init__(self, rate_range: tuple[float, float] = SAVOS_RANGE) -> None:
        """Start empty.

        Args:
            rate_range: lowest and highest occlusion rate, both included.

        Raises:
            InvalidInputError: not ``0 <= low <= high <= 1``.
        """
        if not 0 <= rate_range[0] <= rate_range[1] <= 1:
            raise InvalidInputError(f"rate_range must be 0 <= low <= high <= 1, got {rate_range}")
        self._range = rate_range
        self._full: list[float] = []
        self._occluded: list[float] = []

    def add(self, overlap: Overlap) -> None:
        """Add one instance whose pixels are counted already; out of range, it is left out."""
        if self._range[0] <= overlap.occlusion_rate <= self._range[1]:
            self._full.append(overlap.iou_full)
            self._occluded.append(overlap.iou_occluded)

    def compute(self) -> MiouResult:
        """The means so far."""
        count = len(self._full)
        return MiouResult(
            miou_full=sum(self._full) / count if count else None,
            miou_occ=sum(self._occluded) / count if count else None,
            n=count,
            n_occluded=count,
        )


def united_with_visible(
    prediction: NDArray[np.bool_], predicted_visible: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """``c2f-post``: P := P OR the predicted visible mask, (H, W) bool each.

    Raises:
        InvalidInputError: masks that are not bool or of different sizes.
    """
    check_masks(prediction=prediction, predicted_visible=predicted_visible)
    return prediction | predicted_visible


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
