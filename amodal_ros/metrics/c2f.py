# SPDX-License-Identifier: Apache-2.0
"""``c2f``: mean IoU over whole objects and over what is hidden of them, as in published tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amodal_ros.metrics.overlap import Overlap, measure_overlap


@dataclass(frozen=True)
class MiouResult:
    """Result of one metric.

    Attributes:
        miou_full: over amodal masks; None without instances.
        miou_occ: over hidden parts; None without occluded instances.
        n: instances behind `miou_full`.
        n_occluded: instances behind `miou_occ`.
    """

    miou_full: float | None
    miou_occ: float | None
    n: int
    n_occluded: int


class MaskMetric:
    """Shared ``update``: counts the pixels and hands them to ``add``."""

    def update(
        self,
        prediction: NDArray[np.bool_],
        amodal: NDArray[np.bool_],
        visible: NDArray[np.bool_],
    ) -> None:
        """Add one instance, masks (H, W) bool.

        Raises:
            InvalidInputError: masks that are not bool or of different sizes.
        """
        self.add(measure_overlap(prediction, amodal, visible))

    def add(self, overlap: Overlap) -> None:
        """Add one instance whose pixels are counted already."""
        raise NotImplementedError


class C2fMiou(MaskMetric):
    """``c2f``, the definition behind the published tables (Eq. 11; C2F-Seg's code).

    miou_full is the mean of IoU(P, G). miou_occ is the sum of IoU(P minus V, G minus V) over all
    instances, divided by the number of those whose summed G - V is not zero.

    >>> metric = C2fMiou()
    >>> whole = np.array([[True, True, True, True]])
    >>> seen = np.array([[True, True, False, False]])
    >>> metric.update(np.array([[True, True, True, False]]), whole, seen)
    >>> metric.compute()
    MiouResult(miou_full=0.75, miou_occ=0.5, n=1, n_occluded=1)
    """

    def __init__(self) -> None:
        self._full: list[float] = []
        self._occluded_sum = 0.0
        self._n_occluded = 0

    def add(self, overlap: Overlap) -> None:
        """Add one instance whose pixels are counted already."""
        self._full.append(overlap.iou_full)
        self._occluded_sum += overlap.iou_occluded
        self._n_occluded += overlap.is_occluded

    def compute(self) -> MiouResult:
        """The means so far."""
        count = len(self._full)
        return MiouResult(
            miou_full=sum(self._full) / count if count else None,
            miou_occ=self._occluded_sum / self._n_occluded if self._n_occluded else None,
            n=count,
            n_occluded=self._n_occluded,
        )
