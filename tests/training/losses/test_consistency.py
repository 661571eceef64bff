# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from training.losses.segmentation import consistency_loss, has_both_regions


def halves(side: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Left half visible, right half occluded."""
    visible = torch.zeros(1, 1, side, side)
    visible[..., : side // 2] = 1.0
    return visible, 1.0 - visible


def test_it_is_one_minus_the_cosine_of_the_masked_means():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2, 5, 4, 4, generator=generator)
    visible = (torch.rand(2, 1, 8, 8, generator=generator) > 0.6).float()
    occluded = (1.0 - visible) * (torch.rand(2, 1, 8, 8, generator=generator) > 0.3)
    loss = consistency_loss(embeddings, visible, occluded)
    for row in range(2):
        # Independent: every pixel looks up its cell, so that a cell counts by its area.
        pixels = embeddings[row].numpy().repeat(2, axis=1).repeat(2, axis=2)
        means = [
            (pixels * m[row].numpy()).sum((1, 2)) / m[row].numpy().sum()
            for m in (visible, occluded)
        ]
        cosine = means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
        assert loss[row].item() == pytest.approx(1.0 - cosine, abs=1e-5)


def test_equal_regions_cost_nothing_and_opposite_ones_two():
    visible, occluded = halves()
    same = torch.ones(1, 3, 4, 4)
    opposite = same.clone()
    opposite[..., 2:] = -1.0
    assert consistency_loss(same, visible, occluded).item() == pytest.approx(0.0, abs=1e-6)
    assert consistency_loss(opposite, visible, occluded).item() == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("empty", ["visible", "occluded", "both"])
def test_no_term_and_no_gradient_where_a_region_is_empty(empty):
    visible, occluded = halves()
    if empty in ("visible", "both"):
        visible = torch.zeros_like(visible)
    if empty in ("occluded", "both"):
        occluded = torch.zeros_like(occluded)
    embeddings = torch.randn(1, 3, 4, 4).requires_grad_()
    loss = consistency_loss(embeddings, visible, occluded)
    assert loss.tolist() == [0.0]
    loss.sum().backward()
    assert (embeddings.grad == 0).all()
    assert has_both_regions(visible, occluded).tolist() == [False]


def test_gradient_descent_makes_the_regions_alike():
    visible, occluded = halves()
    start = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    embeddings = start.requires_grad_()
    first = consistency_loss(embeddings, visible, occluded)
    first.sum().backward()
    with torch.no_grad():
        second = consistency_loss(embeddings - 0.5 * embeddings.grad, visible, occluded)
    assert second.item() < first.item()
