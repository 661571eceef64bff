# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from training.losses.segmentation import segmentation_loss


def masks(*rows: list[float]) -> torch.Tensor:
    """One object of side 4 per argument: four rows of one value each."""
    columns = [torch.tensor(values).view(4, 1).expand(4, 4) for values in rows]
    return torch.stack(columns)[:, None].contiguous()


def reference(logits: np.ndarray, truth: np.ndarray, weight: float) -> tuple[float, float]:
    """Dice and weighted BCE over pixels, from the formulas."""
    p = 1 / (1 + np.exp(-logits))
    dice = 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)
    bce = -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()
    return dice, weight * bce


def test_it_is_dice_and_ten_times_bce_over_each_object():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 4, 4, generator=generator)
    truth = (torch.rand(3, 1, 4, 4, generator=generator) > 0.5).float()
    loss = segmentation_loss(logits, truth, torch.ones_like(truth))
    assert loss.total.shape == (3,)
    for row in range(3):
        dice, bce = reference(logits[row].double().numpy(), truth[row].numpy(), 10.0)
        assert loss.total[row].item() == pytest.approx(dice + bce, rel=1e-5)
        assert loss.dice[row].item() == pytest.approx(dice, rel=1e-5)


def test_logits_are_compared_at_the_size_of_the_input():
    logits = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    truth = torch.ones(2, 1, 16, 16)
    enlarged = torch.nn.functional.interpolate(logits, size=(16, 16), mode="bilinear")
    small = segmentation_loss(logits, truth, torch.ones_like(truth)).total
    assert torch.equal(small, segmentation_loss(enlarged, truth, torch.ones_like(truth)).total)


def test_invalid_pixels_are_in_no_loss():
    logits = torch.zeros(1, 1, 4, 4).requires_grad_()
    valid = masks([1.0, 1.0, 0.0, 0.0])
    truth = masks([1.0, 0.0, 0.0, 0.0])
    other = masks([1.0, 0.0, 1.0, 1.0])  # differs where nothing is known
    loss = segmentation_loss(logits, truth, valid)
    assert torch.equal(loss.total, segmentation_loss(logits, other, valid).total)
    half = reference(np.zeros((2, 4)), np.array([[1.0] * 4, [0.0] * 4]), 10.0)
    assert loss.total.item() == pytest.approx(sum(half), rel=1e-6)
    loss.total.sum().backward()
    assert (logits.grad[..., 2:, :] == 0).all()
    assert (logits.grad[..., :2, :] != 0).all()


def test_an_object_without_a_valid_pixel_costs_nothing():
    logits = torch.randn(1, 1, 4, 4).requires_grad_()
    truth = torch.ones(1, 1, 4, 4)
    total = segmentation_loss(logits, truth, torch.zeros_like(truth)).total
    assert total.item() == 0.0
    total.sum().backward()
    assert (logits.grad == 0).all()


def test_a_perfect_mask_costs_nearly_nothing_and_extreme_logits_stay_finite():
    truth = masks([1.0, 1.0, 0.0, 0.0])
    valid = torch.ones_like(truth)
    right = segmentation_loss((truth * 2 - 1) * 1e4, truth, valid).total
    wrong = segmentation_loss((1 - truth * 2) * 1e4, truth, valid).total
    assert right.item() == pytest.approx(0.0, abs=1e-5)
    assert torch.isfinite(wrong).all()
    assert wrong.item() > 1e4
