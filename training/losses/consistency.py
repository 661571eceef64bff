# SPDX-License-Identifier: Apache-2.0
"""Regional consistency between the visible and the occluded part of an object (paper, Eq. 9)."""

from __future__ import annotations

import torch
from torch.nn import functional as F


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
