# SPDX-License-Identifier: Apache-2.0
"""How well what is seen of an object is cut out, and how much of it lies on other objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amodal_ros.metrics import check_masks

HIDDEN = 0.1  # above it an object counts as hidden here: less is hardly more than an outline


@dataclass(frozen=True)
class VisibleScore:
    """One visible mask.

    Attributes:
        iou: with the true visible mask; 1 where both are empty.
        on_others: share of the mask that lies on what is seen of other objects; 0 for an empty
            mask; None where other objects are not annotated.
        occlusion_rate: of the object.
    """

    iou: float
    on_others: float | None
    occlusion_rate: float


@dataclass(frozen=True)
class VisibleResult:
    """Means over visible masks, as fractions; None for a mean over nothing.

    Attributes:
        iou: of all objects.
        iou_hidden: of those hidden by more than a tenth.
        on_others: of all objects.
        on_others_hidden: of those hidden by more than a tenth.
        n: objects.
        n_hidden: those hidden by more than a tenth.
    """

    iou: float | None
    iou_hidden: float | None
    on_others: float | None
    on_others_hidden: float | None
    n: int
    n_hidden: int


def measure_visible(
    prediction: NDArray[np.bool_],
    visible: NDArray[np.bool_],
    others: NDArray[np.bool_] | None,
    occlusion_rate: float,
) -> VisibleScore:
    """Measure one visible mask.

    Args:
        prediction: (H, W) bool.
        visible: (H, W) bool, the true one.
        others: (H, W) bool, what is seen of other objects; None: not annotated.
        occlusion_rate: of the object.

    Raises:
        InvalidInputError: masks that are not bool, not 2D, or of different sizes.
    """
    check_masks(prediction=prediction, visible=visible)
    union = int(np.count_nonzero(prediction | visible))
    iou = np.count_nonzero(prediction & visible) / union if union else 1.0
    share: float | None = None
    if others is not None:
        check_masks(prediction=prediction, others=others)
        size = int(np.count_nonzero(prediction))
        share = np.count_nonzero(prediction & others) / size if size else 0.0
    return VisibleScore(float(iou), share, occlusion_rate)


def visible_means(scores: Sequence[VisibleScore]) -> VisibleResult:
    """Means over objects, each counting alike."""
    hidden = [score for score in scores if score.occlusion_rate > HIDDEN]
    return VisibleResult(
        iou=_mean([score.iou for score in scores]),
        iou_hidden=_mean([score.iou for score in hidden]),
        on_others=_mean([s.on_others for s in scores if s.on_others is not None]),
        on_others_hidden=_mean([s.on_others for s in hidden if s.on_others is not None]),
        n=len(scores),
        n_hidden=len(hidden),
    )


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
