# SPDX-License-Identifier: Apache-2.0
"""What is asked of masks: Dice and cross-entropy (Eq. 8), consistency (Eq. 9), no intrusion."""

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
    return SegmentationLoss(_dice(logits.sigmoid() * valid, amodal * valid), bce, bce_weight)


def occlusion_loss(
    low_res_logits: torch.Tensor, amodal: torch.Tensor, visible: torch.Tensor, valid: torch.Tensor
) -> torch.Tensor:
    """Dice of what lies outside the visible part, as mIoU_occ (Eq. 11) sees it.

    The paper does not have it. In L_seg a small hidden part is a small share of the object, and
    its outline hardly counts. Here each object's hidden part counts alike, however small, and so
    does what the mask covers beyond the object.

    Args:
        low_res_logits: ``(N, 1, s, s)``; positive inside the mask, input frame.
        amodal: ``(N, 1, S, S)`` float32 in {0, 1}, the whole objects.
        visible: ``(N, 1, S, S)`` float32 in {0, 1}, their visible parts.
        valid: ``(N, 1, S, S)`` float32 in {0, 1}; where it is 0 nothing is compared.

    Returns:
        ``(N,)`` float32 in [0, 1]; exactly 0, without a gradient, where a part is empty.
    """
    counted = valid * (1.0 - visible)
    probabilities = upsample_logits(low_res_logits, amodal.shape[-1]).sigmoid() * counted
    loss = _dice(probabilities, amodal * counted)
    both = has_both_regions(visible * valid, amodal * counted)
    return torch.where(both, loss, torch.zeros_like(loss))


def _dice(probabilities: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return ``(N,)``, 1 - Dice of soft masks ``(N, 1, S, S)``."""
    overlap = (probabilities * truth).sum((1, 2, 3))
    sizes = probabilities.sum((1, 2, 3)) + truth.sum((1, 2, 3))
    return 1.0 - (2.0 * overlap + DICE_SMOOTHING) / (sizes + DICE_SMOOTHING)


def has_both_regions(visible: torch.Tensor, occluded: torch.Tensor) -> torch.Tensor:
    """Return ``(N,)`` bool: which objects have a visible and an occluded pixel.

    Args:
        visible: ``(N, 1, S, S)``, not negative.
        occluded: ``(N, 1, S, S)``, not negative.
    """
    return (visible.amax((1, 2, 3)) > 0) & (occluded.amax((1, 2, 3)) > 0)


def consistency_loss(
    embeddings: torch.Tensor, visible: torch.Tensor, occluded: torch.Tensor
) -> torch.Tensor:
    """Compute L_reg = 1 - cos(E_vis, E_occ) (Eq. 9).

    E is what the adapted encoder computed; E_vis and E_occ are its means over the two regions,
    whose masks are reduced to the embedding's cells by area. The paper writes M_vis = 1 - M, which
    taken literally holds the background too; here it is the visible part of the object.

    Args:
        embeddings: ``(N, C, s, s)``, S a multiple of s.
        visible: ``(N, 1, S, S)`` float32 in {0, 1}, valid pixels alone.
        occluded: ``(N, 1, S, S)`` float32 in {0, 1}, valid pixels alone.

    Returns:
        ``(N,)`` float32 in [0, 2]; exactly 0, without a gradient, where a region is empty.
    """
    cell = visible.shape[-1] // embeddings.shape[-1]
    features = embeddings.float()
    mean_visible = _masked_mean(features, F.avg_pool2d(visible, cell))
    mean_occluded = _masked_mean(features, F.avg_pool2d(occluded, cell))
    loss = 1.0 - F.cosine_similarity(mean_visible, mean_occluded, dim=1)
    return torch.where(has_both_regions(visible, occluded), loss, torch.zeros_like(loss))


def _masked_mean(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean ``(N, C)`` of features ``(N, C, s, s)`` under weights ``(N, 1, s, s)``; 0 for none."""
    total = (features * weights).sum((2, 3))
    return total / weights.sum((2, 3)).clamp(min=1e-6)


def intrusion_loss(
    low_res_logits: torch.Tensor, others: torch.Tensor, valid: torch.Tensor
) -> torch.Tensor:
    """Compute the share of a soft visible mask that lies on other objects.

    The paper does not have it. It is what ``visible_on_others`` of the evaluation counts: a mask
    that takes the object in front for a piece of the one behind misleads a robot more than one
    whose outline is a little off, and costs Dice and BCE no more.

    Args:
        low_res_logits: ``(N, 1, s, s)`` of the visible mask; positive inside it, input frame.
        others: ``(N, 1, S, S)`` float32 in {0, 1}, what is seen of other objects.
        valid: ``(N, 1, S, S)`` float32 in {0, 1}; where it is 0 nothing is counted.

    Returns:
        ``(N,)`` float32 in [0, 1]; 0 for an object without others.
    """
    probabilities = upsample_logits(low_res_logits, others.shape[-1]).sigmoid() * valid
    size = probabilities.sum((1, 2, 3)).clamp(min=1.0)
    return (probabilities * others).sum((1, 2, 3)) / size
