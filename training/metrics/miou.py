# SPDX-License-Identifier: Apache-2.0
"""Mean and pooled IoU over whole objects and over what is hidden of them, as papers define them.

``c2f`` itself is in `amodal_ros.metrics`, as the demo uses it too. Each class has ``update``
(masks), ``add`` (an `Overlap` counted before) and ``compute``. Results are fractions in [0, 1];
what cannot be computed, a mean over nothing, is None (null in reports).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.metrics import (
    C2fMiou,
    MaskMetric,
    MiouResult,
    Overlap,
    boundary_f,
    check_masks,
    diagonal_tolerance,
    measure_overlap,
)

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


@dataclass(frozen=True)
class VideoMiouResult:
    """Result over clips.

    Attributes:
        miou_full: mean over clips of the mean over frames; None without clips.
        miou_occ: likewise over hidden parts; frames without any score 0 and count.
        n: clips (one object through one video) with at least one counted frame.
        n_frames: counted frames.
    """

    miou_full: float | None
    miou_occ: float | None
    n: int
    n_frames: int


class C2fVideoMiou:
    """Per-frame IoU, mean over the frames that count, then mean over clips."""

    def __init__(self) -> None:
        self._clips: dict[Hashable, list[tuple[float, float]]] = {}

    def update(
        self,
        clip: Hashable,
        prediction: NDArray[np.bool_],
        amodal: NDArray[np.bool_],
        visible: NDArray[np.bool_],
        counted: bool = True,
    ) -> None:
        """Add one frame.

        Args:
            clip: which object of which video.
            prediction: (H, W) bool, P.
            amodal: (H, W) bool, G.
            visible: (H, W) bool, V.
            counted: whether the frame's ``counts`` is 1 (padding and frames out of view: False).

        Raises:
            InvalidInputError: masks that are not bool or of different sizes.
        """
        self.add(clip, measure_overlap(prediction, amodal, visible), counted)

    def add(self, clip: Hashable, overlap: Overlap, counted: bool = True) -> None:
        """Add one frame whose pixels are counted already.

        Unlike in ``c2f``, an empty union scores 0 for whole objects too: so does the published
        video code.
        """
        if counted:
            full = overlap.iou_full if overlap.full_union else 0.0
            self._clips.setdefault(clip, []).append((full, overlap.iou_occluded))

    def compute(self) -> VideoMiouResult:
        """The means so far."""
        if not self._clips:
            return VideoMiouResult(miou_full=None, miou_occ=None, n=0, n_frames=0)
        means = [np.mean(frames, axis=0) for frames in self._clips.values()]
        full, occluded = np.mean(means, axis=0)
        return VideoMiouResult(
            miou_full=float(full),
            miou_occ=float(occluded),
            n=len(self._clips),
            n_frames=sum(len(frames) for frames in self._clips.values()),
        )


def video_post(
    prediction: NDArray[np.bool_], visible: NDArray[np.bool_], loss_mask: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """``c2f-video`` post: P where `loss_mask` is 0, the true visible mask elsewhere.

    Raises:
        InvalidInputError: masks that are not bool or of different sizes.
    """
    check_masks(prediction=prediction, visible=visible, loss_mask=loss_mask)
    return np.where(loss_mask, visible, prediction)


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
