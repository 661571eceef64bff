# SPDX-License-Identifier: Apache-2.0
"""All metrics at once, for the model and for the baselines that every table is compared with."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.image.masks import mask_box
from amodal_ros.metrics import boundary_f
from training.metrics import (
    BoundaryF,
    C2fMiou,
    C2fVideoMiou,
    OccludedOnlyMiou,
    OcclusionBuckets,
    Overlap,
    PooledMiou,
    davis_tolerance,
    measure_overlap,
)
from training.metrics.miou import UNOCCLUDED


@dataclass(frozen=True)
class InstanceScore:
    """One prediction of one instance.

    Attributes:
        overlap: pixel counts.
        boundary_f: in [0, 1].
    """

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


class ScoreBoard:
    """Every metric for one predictor; ``compute`` gives percent, rounded to 0.01."""

    def __init__(self) -> None:
        self._c2f = C2fMiou()
        self._pooled = PooledMiou()
        self._occluded_only = OccludedOnlyMiou()
        self._boundary = BoundaryF()
        self._video = C2fVideoMiou()
        self._buckets = OcclusionBuckets()

    def add(self, score: InstanceScore, clip: Hashable | None) -> None:
        """Add one instance; `clip` says which object of which video, None for a still."""
        for metric in (self._c2f, self._pooled, self._occluded_only):
            metric.add(score.overlap)
        self._boundary.add(score.boundary_f)
        self._buckets.add(score.overlap, score.boundary_f)
        if clip is not None:
            self._video.add(clip, score.overlap)

    def compute(self) -> dict[str, dict[str, Any]]:
        """Metric name to its figures; ``c2f-video`` only where there were videos."""
        c2f = self._c2f.compute()
        metrics: dict[str, dict[str, Any]] = {
            "c2f": in_percent(asdict(c2f)),
            "pooled": in_percent(asdict(self._pooled.compute())),
            "occluded-only": in_percent(asdict(self._occluded_only.compute())),
            "boundary-f": {"f": percent(self._boundary.compute()), "n": c2f.n},
        }
        whole = self._buckets.compute()[UNOCCLUDED].miou
        metrics[UNOCCLUDED_METRIC] = {"miou_full": percent(whole.miou_full), "n": whole.n}
        video = self._video.compute()
        if video.n:
            metrics["c2f-video"] = in_percent(asdict(video))
        return metrics

    def buckets(self) -> dict[str, dict[str, Any]]:
        """Occlusion bucket to its figures."""
        return {
            label: {
                **in_percent(asdict(result.miou)),
                "boundary_f": percent(result.boundary_f),
            }
            for label, result in self._buckets.compute().items()
        }


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
