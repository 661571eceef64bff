# SPDX-License-Identifier: Apache-2.0
"""How far masks and predicted IoU of one engine are from those of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amodal_ros.image.boundary import boundary_f, diagonal_tolerance
from amodal_ros.types import AmodalPrediction

MIN_MASK_IOU = 0.995
MIN_BOUNDARY_F = 0.98
MAX_IOU_ERROR = 0.02
# Of the image's diagonal: a quarter of what DAVIS allows, since both masks are of one image.
BOUNDARY_TOLERANCE = 0.002


@dataclass(frozen=True)
class Limits:
    """What passes.

    Attributes:
        min_mask_iou: of every mask with its counterpart.
        min_boundary_f: likewise, of their outlines.
        max_iou_error: of the predicted IoU.
    """

    min_mask_iou: float = MIN_MASK_IOU
    min_boundary_f: float = MIN_BOUNDARY_F
    max_iou_error: float = MAX_IOU_ERROR


@dataclass(frozen=True)
class Comparison:
    """How far an engine is from the reference, at worst over the objects.

    Attributes:
        amodal_iou: the smallest IoU of an amodal mask with its reference.
        visible_iou: likewise, visible masks.
        predicted_iou_error: the greatest difference of the predicted IoU.
        boundary_f: the smallest F-measure of the outlines of both kinds of mask.
    """

    amodal_iou: float
    visible_iou: float
    predicted_iou_error: float
    boundary_f: float

    def passes(
        self,
        min_mask_iou: float,
        max_iou_error: float,
        min_boundary_f: float = MIN_BOUNDARY_F,
    ) -> bool:
        """Whether all are within the limits; NaN is not."""
        return (
            min(self.amodal_iou, self.visible_iou) >= min_mask_iou
            and self.boundary_f >= min_boundary_f
            and self.predicted_iou_error <= max_iou_error
        )

    def __str__(self) -> str:
        """One line."""
        return (
            f"mask IoU with fp32: amodal {self.amodal_iou:.4f}, visible {self.visible_iou:.4f};"
            f" boundary F {self.boundary_f:.4f};"
            f" predicted IoU differs by at most {self.predicted_iou_error:.4f}"
        )


def compare_masks(
    prediction: AmodalPrediction, amodal: np.ndarray, visible: np.ndarray, iou: np.ndarray
) -> Comparison:
    """Compares a prediction with masks (N, H, W) bool and predicted IoU (N,), N at least 1."""
    raw, seen = prediction.raw_amodal_masks, prediction.visible_masks
    pairs = [*zip(raw, amodal, strict=True), *zip(seen, visible, strict=True)]
    tolerance = diagonal_tolerance(amodal.shape[1:], BOUNDARY_TOLERANCE)
    return Comparison(
        smallest_iou(raw, amodal),
        smallest_iou(seen, visible),
        float(np.abs(prediction.predicted_iou - iou).max()),
        min(boundary_f(mask, other, tolerance) for mask, other in pairs),
    )


def smallest_iou(masks: np.ndarray, others: np.ndarray) -> float:
    """The smallest IoU of N pairs of masks (N, H, W); two empty masks agree."""
    intersection = np.logical_and(masks, others).sum(axis=(1, 2))
    union = np.logical_or(masks, others).sum(axis=(1, 2))
    return float(np.where(union > 0, intersection / np.maximum(union, 1), 1.0).min())
