# SPDX-License-Identifier: Apache-2.0
"""Segmentation supervision: Dice and binary cross-entropy (paper, Eq. 8)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

# Added to numerator and denominator of Dice, in pixels: an empty mask predicted empty costs 0.
DICE_SMOOTHING = 1.0


@dataclass(frozen=True, eq=False)
class SegmentationLoss:
    """L_seg of N objects and its two parts.

    Attributes:
        dice: ``(N,)``.
        bce: ``(N,)``, mean over the valid pixels of an object, not yet weighted.
        bce_weight: The balancing factor of Eq. 8.
    """

    dice: torch.Tensor
    bce: torch.Tensor
    bce_weight: float

    @property
    def total(self) -> torch.Tensor:
        """``(N,)``: Dice + ``bce_weight`` x BCE."""
        return self.dice + self.bce_weight * self.bce


def upsample_logits(low_res_logits: torch.Tensor, side: int) -> torch.Tensor:
    """Enlarge logits ``(N, 1, s, s)`` bilinearly to ``(N, 1, side, side)`` float32."""
    return F.interpolate(
        low_res_logits.float(), size=(side, side), mode="bilinear", align_corners=False
    )


def segmentation_loss(
    low_res_logits: torch.Tensor,
    amodal: torch.Tensor,
    valid: torch.Tensor,
    bce_weight: float = 10.0,
) -> SegmentationLoss:
    """Compare predictions with whole objects at the size of the input (Eq. 8).

    Args:
        low_res_logits: ``(N, 1, s, s)``; positive inside the mask, input frame.
        amodal: ``(N, 1, S, S)`` float32 in {0, 1}, the whole objects.
        valid: ``(N, 1, S, S)`` float32 in {0, 1}; where it is 0 nothing is compared. An object
            without a valid pixel costs 0.
        bce_weight: The paper's alpha.
    """
    logits = upsample_logits(low_res_logits, amodal.shape[-1])
    per_pixel = F.binary_cross_entropy_with_logits(logits, amodal, reduction="none")
    bce = (per_pixel * valid).sum((1, 2, 3)) / valid.sum((1, 2, 3)).clamp(min=1.0)
    probabilities, truth = logits.sigmoid() * valid, amodal * valid
    overlap = (probabilities * truth).sum((1, 2, 3))
    sizes = probabilities.sum((1, 2, 3)) + truth.sum((1, 2, 3))
    dice = 1.0 - (2.0 * overlap + DICE_SMOOTHING) / (sizes + DICE_SMOOTHING)
    return SegmentationLoss(dice, bce, bce_weight)
