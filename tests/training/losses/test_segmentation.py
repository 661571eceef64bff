# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from training.losses.segmentation import occlusion_loss, segmentation_loss


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


def test_occlusion_loss_is_dice_outside_the_visible_part():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 1, 4, 4, generator=generator)
    amodal, visible = masks([1.0, 1.0, 0.0, 0.0]), masks([1.0, 0.0, 0.0, 0.0])
    valid = masks([1.0, 1.0, 1.0, 0.0])
    loss = occlusion_loss(logits, amodal, visible, valid)
    dice, _ = reference(logits[0, 0, 1:3].double().numpy(), np.array([[1.0] * 4, [0.0] * 4]), 10.0)
    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(dice, rel=1e-5)


def test_occlusion_loss_does_not_see_visible_and_unknown_pixels():
    logits = torch.zeros(1, 1, 4, 4).requires_grad_()
    amodal, visible = masks([1.0, 1.0, 0.0, 0.0]), masks([1.0, 0.0, 0.0, 0.0])
    occlusion_loss(logits, amodal, visible, masks([1.0, 1.0, 1.0, 0.0])).sum().backward()
    assert (logits.grad[0, 0, [0, 3]] == 0).all()
    assert (logits.grad[0, 0, 1] < 0).all()  # hidden: more mask costs less
    assert (logits.grad[0, 0, 2] > 0).all()  # beyond the object: more mask costs more


def test_a_small_hidden_part_counts_as_much_as_a_large_one():
    valid = torch.ones(2, 1, 64, 64)
    amodal = torch.ones(2, 1, 64, 64)
    visible = amodal.clone()
    visible[0, :, :32] = 0
    visible[1, :, :2] = 0
    missed = torch.where(visible > 0, 20.0, -20.0)
    small, large = occlusion_loss(missed, amodal, visible, valid)
    assert small.item() == pytest.approx(large.item(), abs=0.01)
    segmentation = segmentation_loss(missed, amodal, valid).total
    assert segmentation[0] > 10 * segmentation[1]


@pytest.mark.parametrize("visible", [[1.0, 1.0, 0.0, 0.0], [0.0] * 4], ids=["all", "nothing"])
def test_objects_without_two_parts_have_no_occlusion_loss(visible):
    logits = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(3)).requires_grad_()
    amodal = masks([1.0, 1.0, 0.0, 0.0])
    loss = occlusion_loss(logits, amodal, masks(visible), torch.ones_like(amodal))
    assert loss.item() == 0.0
    loss.sum().backward()
    assert (logits.grad == 0).all()
