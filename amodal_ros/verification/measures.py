# SPDX-License-Identifier: Apache-2.0
"""How far masks and predicted IoU of one engine are from those of another, and from the truth.

An engine that rounds flips pixels of which the model itself is unsure. Such masks differ a little
all over and are as true as before. A wrong engine differs much, everywhere or in some masks, or
is less true. So the distribution counts, its worst end with a wider limit, and the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from amodal_ros.metrics import boundary_f, diagonal_tolerance
from amodal_ros.types import AmodalPrediction

LOW_PERCENTILE = 10
# Of the image's diagonal: a quarter of what DAVIS allows, since both masks are of one image.
BOUNDARY_TOLERANCE = 0.002


@dataclass(frozen=True)
class Limits:
    """What passes.

    Attributes:
        min_mean_iou: mean IoU of the masks with their counterparts.
        min_low_iou: 10th percentile of it.
        min_worst_iou: of each mask: below, it is another mask and not a rounded one.
        min_boundary_f: mean F-measure of the outlines.
        max_iou_error: mean difference of the predicted IoU.
        max_truth_lost: mean IoU with the truth that is lost against fp32.
    """

    min_mean_iou: float = 0.99
    min_low_iou: float = 0.97
    min_worst_iou: float = 0.90
    min_boundary_f: float = 0.98
    max_iou_error: float = 0.02
    max_truth_lost: float = 0.005


@dataclass(frozen=True, eq=False)
class MaskErrors:
    """One frame's masks beside their counterparts: N objects, amodal masks and visible ones.

    Attributes:
        iou: (2N,) of each mask with its counterpart.
        boundary_f: (2N,) of the outlines.
        predicted_iou: (N,) absolute differences.
        truth_lost: (2N,) IoU with the truth that the counterpart has more; None: not known.
    """

    iou: np.ndarray
    boundary_f: np.ndarray
    predicted_iou: np.ndarray
    truth_lost: np.ndarray | None = None


@dataclass(frozen=True)
class Comparison:
    """How far an engine is from the reference.

    Attributes:
        mean_iou: of all masks with their counterparts.
        low_iou: 10th percentile.
        worst_iou: the smallest.
        boundary_f: mean F-measure of the outlines.
        predicted_iou_error: mean difference of the predicted IoU.
        truth_lost: mean loss of IoU with the truth; None: no truth is known.
    """

    mean_iou: float
    low_iou: float
    worst_iou: float
    boundary_f: float
    predicted_iou_error: float
    truth_lost: float | None = None

    @classmethod
    def of(cls, frames: Sequence[MaskErrors]) -> Comparison:
        """The distribution over the masks of all frames, at least one."""
        iou = np.concatenate([frame.iou for frame in frames])
        lost = [frame.truth_lost for frame in frames if frame.truth_lost is not None]
        return cls(
            float(iou.mean()),
            float(np.percentile(iou, LOW_PERCENTILE)),
            float(iou.min()),
            float(np.concatenate([frame.boundary_f for frame in frames]).mean()),
            float(np.concatenate([frame.predicted_iou for frame in frames]).mean()),
            float(np.concatenate(lost).mean()) if lost else None,
        )

    def passes(self, limits: Limits) -> bool:
        """Whether all are within the limits; NaN is not."""
        return (
            self.mean_iou >= limits.min_mean_iou
            and self.low_iou >= limits.min_low_iou
            and self.worst_iou >= limits.min_worst_iou
            and self.boundary_f >= limits.min_boundary_f
            and self.predicted_iou_error <= limits.max_iou_error
            and (self.truth_lost is None or self.truth_lost <= limits.max_truth_lost)
        )

    def __str__(self) -> str:
        truth = "" if self.truth_lost is None else f"; truth lost {self.truth_lost:+.4f}"
        return (
            f"mask IoU with fp32: mean {self.mean_iou:.4f}, {LOW_PERCENTILE}th percentile"
            f" {self.low_iou:.4f}, worst {self.worst_iou:.4f}; boundary F {self.boundary_f:.4f};"
            f" predicted IoU differs by {self.predicted_iou_error:.4f}{truth}"
        )


def compare_masks(
    prediction: AmodalPrediction,
    amodal: np.ndarray,
    visible: np.ndarray,
    iou: np.ndarray,
    true_amodal: np.ndarray | None = None,
    true_visible: np.ndarray | None = None,
) -> MaskErrors:
    """Compares a prediction with masks (N, H, W) bool and predicted IoU (N,), N at least 1."""
    found = np.concatenate([prediction.raw_amodal_masks, prediction.visible_masks])
    wanted = np.concatenate([amodal, visible])
    lost = None
    if true_amodal is not None and true_visible is not None:
        truth = np.concatenate([true_amodal, true_visible])
        lost = mask_ious(wanted, truth) - mask_ious(found, truth)
    tolerance = diagonal_tolerance(amodal.shape[1:], BOUNDARY_TOLERANCE)
    pairs = zip(found, wanted, strict=True)
    return MaskErrors(
        mask_ious(found, wanted),
        np.array([boundary_f(mask, other, tolerance) for mask, other in pairs]),
        np.abs(prediction.predicted_iou - iou),
        lost,
    )


def mask_ious(masks: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU (N,) float64 of N pairs of masks (N, H, W); two empty masks agree."""
    intersection = np.logical_and(masks, others).sum(axis=(1, 2))
    union = np.logical_or(masks, others).sum(axis=(1, 2))
    return np.asarray(np.where(union > 0, intersection / np.maximum(union, 1), 1.0))


END_TO_END = "end to end"
AGAINST_TORCH = "end to end, torch's masks"
# Masks of random weights are noise, which flips with the last bit of a logit.
MAX_RANDOM_LOGIT_ERROR = 0.05
RANDOM_WEIGHTS = (
    "the weights are random: this proves the mechanics only, and nothing about masks of real ones"
)


@dataclass(frozen=True)
class GateRow:
    """One comparison.

    Attributes:
        scene: its name.
        part: the graph that ran in the engine under test, or what ran there together.
        comparison: of the masks with fp32's.
        logit_error: greatest difference of the decoder's logits over their greatest size; for a
            graph of the video path, of what it gives for equal inputs; None: not measured.
        not_finite: outputs of the engine under test that held NaN or infinity.
    """

    scene: str
    part: str
    comparison: Comparison
    logit_error: float | None
    not_finite: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.scene}, {self.part}: {self.comparison}"
        if self.logit_error is not None:
            text += f"; logits by {self.logit_error:.1e} of the greatest"
        if self.not_finite:
            text += f"; NaN or infinity in {', '.join(self.not_finite)}"
        return text


@dataclass(frozen=True, eq=False)
class GateReport:
    """What the gate found."""

    engine: str
    rows: tuple[GateRow, ...]
    random_weights: bool
    limits: Limits

    def failures(self) -> list[str]:
        """The rows that do not pass."""
        return [str(row) for row in self.rows if not self._passes(row)]

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "engine": self.engine,
            "passed": not self.failures(),
            "random_weights": self.random_weights,
            "limits": asdict(self.limits),
            "rows": [asdict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        lines = [f"{'passed' if not self.failures() else 'FAILED'}: {self.engine}"]
        lines += [f"  {'' if self._passes(row) else 'FAILED '}{row}" for row in self.rows]
        return "\n".join([*lines, RANDOM_WEIGHTS] if self.random_weights else lines)

    def _passes(self, row: GateRow) -> bool:
        if row.not_finite:
            return False
        if self.random_weights:
            return row.logit_error is None or row.logit_error <= MAX_RANDOM_LOGIT_ERROR
        return row.comparison.passes(self.limits)
