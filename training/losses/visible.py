# SPDX-License-Identifier: Apache-2.0
"""Supervision of the visible mask beyond its outline: it must not lie on other objects."""

from __future__ import annotations

import torch

from training.losses.segmentation import upsample_logits


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
