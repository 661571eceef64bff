# SPDX-License-Identifier: Apache-2.0
"""All metrics at once, for the model and for the baselines that every table is compared with."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.image.masks import mask_box
from amodal_ros.metrics import Overlap, boundary_f, c2f, measure_overlap
from training.metrics.miou import (
    LABELS,
    UNOCCLUDED,
    bucket_label,
    c2f_video,
    davis_tolerance,
    occluded_only,
    pooled,
)


@dataclass(frozen=True)
class InstanceScore:
    """One prediction of one instance."""

    overlap: Overlap
    boundary_f: float


def score_instance(
    prediction: NDArray[np.bool_], amodal: NDArray[np.bool_], visible: NDArray[np.bool_]
) -> InstanceScore:
    """Measure one prediction, masks (H, W) bool."""
    tolerance = davis_tolerance((amodal.shape[0], amodal.shape[1]))
    return InstanceScore(
        overlap=measure_overlap(prediction, amodal, visible),
        boundary_f=boundary_f(prediction, amodal, tolerance),
    )


UNOCCLUDED_METRIC = "unoccluded"


@dataclass
class ScoreBoard:
    """Every metric for one predictor, in percent and rounded to 0.01."""

    scores: list[InstanceScore] = field(default_factory=list)
    clips: dict[Hashable, list[Overlap]] = field(default_factory=dict)

    def add(self, score: InstanceScore, clip: Hashable | None) -> None:
        """Add one instance; `clip` says which object of which video, None for a still."""
        self.scores.append(score)
        if clip is not None:
            self.clips.setdefault(clip, []).append(score.overlap)

    def compute(self) -> dict[str, dict[str, Any]]:
        """Metric name to its figures; ``c2f-video`` only where there were videos."""
        overlaps = [score.overlap for score in self.scores]
        whole = c2f(one for one in overlaps if one.hidden == 0)
        metrics: dict[str, dict[str, Any]] = {
            "c2f": in_percent(asdict(c2f(overlaps))),
            "pooled": in_percent(asdict(pooled(overlaps))),
            "occluded-only": in_percent(asdict(occluded_only(overlaps))),
            "boundary-f": {"f": _mean_boundary_f(self.scores), "n": len(overlaps)},
            UNOCCLUDED_METRIC: {"miou_full": percent(whole.miou_full), "n": whole.n},
        }
        if self.clips:
            metrics["c2f-video"] = in_percent(asdict(c2f_video(self.clips.values())))
        return metrics

    def buckets(self) -> dict[str, dict[str, Any]]:
        """Occlusion bucket to its figures; all buckets, always.

        Objects that are not occluded at all are in the first bucket, and once more in the row
        `UNOCCLUDED`.
        """
        groups: dict[str, list[InstanceScore]] = {label: [] for label in (UNOCCLUDED, *LABELS)}
        for score in self.scores:
            groups[bucket_label(score.overlap.occlusion_rate)].append(score)
            if score.overlap.hidden == 0:
                groups[UNOCCLUDED].append(score)
        return {
            label: {
                **in_percent(asdict(c2f(score.overlap for score in group))),
                "boundary_f": _mean_boundary_f(group),
            }
            for label, group in groups.items()
        }


def _mean_boundary_f(scores: Sequence[InstanceScore]) -> float | None:
    return percent(sum(s.boundary_f for s in scores) / len(scores)) if scores else None


def percent(fraction: float | None) -> float | None:
    """A fraction in percent, rounded to 0.01; None stays None."""
    return None if fraction is None else round(100 * fraction, 2)


def in_percent(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures in percent, counts (``n…``) as they are."""
    return {k: v if k.startswith("n") else percent(v) for k, v in figures.items()}


BOX_FILL = "box fill"
TRUE_VISIBLE = "true visible mask"
VISIBLE_HULL = "convex hull of the true visible mask"
PREDICTED_VISIBLE = "predicted visible mask"


def geometric_baselines(visible_mask: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Box fill, the visible mask itself, and its convex hull, by name.

    Args:
        visible_mask: (H, W) bool, the true one; empty gives empty predictions.
    """
    return {
        BOX_FILL: fill_box(visible_mask),
        TRUE_VISIBLE: visible_mask,
        VISIBLE_HULL: convex_hull(visible_mask),
    }


def fill_box(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The tight box of a mask (H, W) bool, filled."""
    x0, y0, x1, y1 = mask_box(mask)
    filled = np.zeros_like(mask)
    filled[y0:y1, x0:x1] = True
    return filled


def convex_hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The convex hull of a mask's pixel centres, (H, W) bool; contains the mask."""
    points = cv2.findNonZero(mask.astype(np.uint8))
    if points is None:
        return np.zeros_like(mask)
    hull = np.zeros(mask.shape, dtype=np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return (hull > 0) | mask
