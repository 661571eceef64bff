# SPDX-License-Identifier: Apache-2.0
"""Results by occlusion rate: how much of the object is hidden."""

from __future__ import annotations

from dataclasses import dataclass

from amodal_ros.errors import InvalidInputError
from amodal_ros.metrics import C2fMiou, MiouResult, Overlap
from training.metrics.miou import BoundaryF

EDGES = (0.2, 0.4, 0.6, 0.8)
UNOCCLUDED = "0 %"
LABELS = ("0-20 %", "20-40 %", "40-60 %", "60-80 %", "80-100 %")


@dataclass(frozen=True)
class BucketResult:
    """One bucket.

    Attributes:
        miou: as `C2fMiou` over the bucket's instances.
        boundary_f: mean boundary F in [0, 1]; None without instances.
    """

    miou: MiouResult
    boundary_f: float | None


class OcclusionBuckets:
    """``c2f`` and boundary F in five buckets of occlusion rate, and for whole objects apart.

    A bucket includes its lower edge; the last includes 1. Objects that are not occluded at all are
    in the first bucket, and once more in the row `UNOCCLUDED`.
    """

    def __init__(self) -> None:
        self._miou = {label: C2fMiou() for label in (UNOCCLUDED, *LABELS)}
        self._boundary = {label: BoundaryF() for label in (UNOCCLUDED, *LABELS)}

    def add(self, overlap: Overlap, boundary_score: float) -> None:
        """Add one instance: its pixel counts and its boundary F."""
        labels = [bucket_label(overlap.occlusion_rate)]
        if overlap.hidden == 0:
            labels.append(UNOCCLUDED)
        for label in labels:
            self._miou[label].add(overlap)
            self._boundary[label].add(boundary_score)

    def compute(self) -> dict[str, BucketResult]:
        """The results so far by label, from unoccluded to fully hidden; all labels, always."""
        return {
            label: BucketResult(miou.compute(), self._boundary[label].compute())
            for label, miou in self._miou.items()
        }


def bucket_label(occlusion_rate: float) -> str:
    """The bucket of an occlusion rate.

    Raises:
        InvalidInputError: outside [0, 1].

    >>> bucket_label(0.0), bucket_label(0.2), bucket_label(1.0)
    ('0-20 %', '20-40 %', '80-100 %')
    """
    if not 0 <= occlusion_rate <= 1:
        raise InvalidInputError(f"occlusion_rate must be in [0, 1], got {occlusion_rate}")
    return LABELS[sum(occlusion_rate >= edge for edge in EDGES)]
