# SPDX-License-Identifier: Apache-2.0
"""Holistic topological regularization: the two sides of Eq. 10 (paper, 3.4, A.1.2).

Conventions:

- 1 means "true": ground truth is the positive, the model's output the negative sample (A.1.2).
- D gets probabilities, not thresholded masks, so that its verdict has a gradient; ground truth is
  reduced to D's size by area, which gives it the soft edges that a prediction has.
- Model step: D's parameters receive no gradient. Discriminator step: the prediction is detached.
  Both use D as it was before the step.
- The model minimises -log D(M_p) in place of log(1 - D(M_p)): the same fixed point, but a gradient
  where D is sure (Goodfellow et al. 2014, section 3).
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from training.losses.discriminator import Discriminator


def masks_for_discriminator(masks: torch.Tensor, valid: torch.Tensor, side: int) -> torch.Tensor:
    """Reduce masks ``(N, 1, S, S)`` by area to ``(N, 1, side, side)``; 0 where not valid."""
    return F.avg_pool2d(masks * valid, masks.shape[-1] // side)


def probabilities_for_discriminator(
    low_res_logits: torch.Tensor, valid: torch.Tensor
) -> torch.Tensor:
    """Turn logits ``(N, 1, s, s)`` into probabilities; 0 where not valid, as in the truth."""
    cell = valid.shape[-1] // low_res_logits.shape[-1]
    return low_res_logits.float().sigmoid() * F.avg_pool2d(valid, cell)


def model_loss(
    discriminator: Discriminator, predicted: torch.Tensor, images: torch.Tensor | None
) -> torch.Tensor:
    """Compute what the model minimises, ``(N,)``: -log D(M_p, I), with D's parameters frozen.

    Args:
        discriminator: D.
        predicted: ``(N, 1, side, side)`` probabilities.
        images: ``(N, 3, side, side)`` originals, or None in a closed domain.
    """
    trained = [p for p in discriminator.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        logits = discriminator(predicted, images)
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
    return F.softplus(-logits)


def discriminator_loss(
    discriminator: Discriminator,
    predicted: torch.Tensor,
    true: torch.Tensor,
    images: torch.Tensor | None,
    *,
    real_label: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute what D minimises: -log D(M_gt, I) - log(1 - D(M_p, I)).

    Args:
        discriminator: D.
        predicted: ``(N, 1, side, side)`` probabilities; no gradient flows into them.
        true: ``(N, 1, side, side)`` in [0, 1].
        images: ``(N, 3, side, side)`` originals, or None in a closed domain.
        real_label: Target for true masks; under 1 keeps D from growing sure without bound
            (one-sided label smoothing, Salimans et al. 2016).

    Returns:
        The loss ``(N,)``, then D's probabilities ``(N,)`` for true and predicted masks, detached.
    """
    on_true = discriminator(true, images)
    on_predicted = discriminator(predicted.detach(), images)
    target = torch.full_like(on_true, real_label)
    loss = F.binary_cross_entropy_with_logits(on_true, target, reduction="none")
    loss = loss + F.softplus(on_predicted)
    return loss, on_true.detach().sigmoid(), on_predicted.detach().sigmoid()
