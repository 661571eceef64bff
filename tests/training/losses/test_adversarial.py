# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from amodal_ros.errors import InvalidInputError
from training.losses.adversarial import (
    Discriminator,
    discriminator_loss,
    masks_for_discriminator,
    model_loss,
    probabilities_for_discriminator,
)


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(16, sees_image=False, width=4)


@pytest.mark.parametrize("side", [16, 24, 96, 100])
@pytest.mark.parametrize("sees_image", [True, False])
def test_one_logit_per_object_in_both_forms(side, sees_image):
    judge = Discriminator(side, sees_image=sees_image, width=2)
    images = torch.randn(3, 3, side, side) if sees_image else None
    logits = judge(torch.rand(3, 1, side, side), images)
    assert logits.shape == (3,)
    assert len(logits.unique()) == 3


def test_it_looks_at_the_image_where_it_gets_one():
    torch.manual_seed(0)
    judge = Discriminator(16, sees_image=True, width=4)
    mask, image = torch.rand(1, 1, 16, 16), torch.randn(1, 3, 16, 16)
    assert judge(mask, image) != judge(mask, -image)


def test_wrong_inputs_are_refused(discriminator):
    with pytest.raises(InvalidInputError, match="takes no images"):
        discriminator(torch.rand(1, 1, 16, 16), torch.rand(1, 3, 16, 16))
    with pytest.raises(InvalidInputError, match=r"\(N, 1, 16, 16\), got \(1, 1, 8, 8\)"):
        discriminator(torch.rand(1, 1, 8, 8))
    with pytest.raises(InvalidInputError, match="needs images"):
        Discriminator(16, sees_image=True)(torch.rand(1, 1, 16, 16))
    with pytest.raises(InvalidInputError, match="side >= 8"):
        Discriminator(4, sees_image=False)


def test_the_verdict_on_an_object_does_not_depend_on_the_others(discriminator):
    masks = torch.rand(4, 1, 16, 16)
    together = discriminator(masks)
    alone = torch.cat([discriminator(mask[None]) for mask in masks])
    torch.testing.assert_close(together, alone)


def test_every_layer_is_normalised_and_only_on_request_anew(discriminator):
    mask = torch.rand(1, 1, 16, 16)
    before = discriminator(mask)
    assert torch.equal(before, discriminator(mask))
    for _ in range(50):
        discriminator.update_norms()
    assert not discriminator.layers[0].parametrizations.weight[0].training
    for layer in discriminator.layers:
        if hasattr(layer, "parametrizations"):
            norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
            assert norm.item() == pytest.approx(1.0, rel=1e-3)


def test_the_losses_are_those_of_eq_10(discriminator):
    predicted, true = torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)
    d_true, d_predicted = discriminator(true).sigmoid(), discriminator(predicted).sigmoid()
    loss, on_true, on_predicted = discriminator_loss(discriminator, predicted, true, None)
    torch.testing.assert_close(loss, -d_true.log() - (1 - d_predicted).log())
    torch.testing.assert_close(on_true, d_true.detach())
    torch.testing.assert_close(on_predicted, d_predicted.detach())
    torch.testing.assert_close(model_loss(discriminator, predicted, None), -d_predicted.log())
    smoothed, _, _ = discriminator_loss(discriminator, predicted, true, None, real_label=0.9)
    expected = -0.9 * d_true.log() - 0.1 * (1 - d_true).log() - (1 - d_predicted).log()
    torch.testing.assert_close(smoothed, expected)


def test_each_step_leaves_the_other_network_alone(discriminator):
    predicted = torch.rand(2, 1, 16, 16).requires_grad_()
    model_loss(discriminator, predicted, None).sum().backward()
    assert predicted.grad.abs().max() > 0
    assert all(p.grad is None for p in discriminator.parameters())
    assert all(p.requires_grad for p in discriminator.parameters())
    predicted.grad = None
    true = torch.rand(2, 1, 16, 16)
    discriminator_loss(discriminator, predicted, true, None)[0].sum().backward()
    assert predicted.grad is None
    assert all(p.grad is not None for p in discriminator.parameters())


def test_prediction_and_truth_come_in_the_same_form():
    truth = torch.zeros(1, 1, 32, 32)
    truth[..., :10] = 1.0
    valid = torch.ones_like(truth)
    valid[..., 16:, :] = 0.0
    small = masks_for_discriminator(truth, valid, 8)
    assert small.shape == (1, 1, 8, 8)
    assert small[0, 0, 0].tolist() == [1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert (small[..., 4:, :] == 0).all()
    probabilities = probabilities_for_discriminator(torch.zeros(1, 1, 8, 8), valid)
    assert (probabilities[..., :4, :] == 0.5).all()
    assert (probabilities[..., 4:, :] == 0).all()


def test_it_learns_shape_and_pulls_a_mask_towards_it():
    """D tells discs from halves of discs; what it says then moves a half towards a disc."""
    torch.manual_seed(0)
    judge = Discriminator(16, sees_image=False, width=8)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=1e-2, betas=(0.5, 0.999))
    y, x = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(16) + 0.5, indexing="ij")
    radii = torch.linspace(4, 7, 8).view(-1, 1, 1, 1)
    discs = (((x - 8) ** 2 + (y - 8) ** 2)[None, None] < radii**2).float()
    halves = discs * (x < 8)
    for _ in range(60):
        judge.update_norms()
        optimiser.zero_grad()
        loss, _, _ = discriminator_loss(judge, halves, discs, None)
        loss.mean().backward()
        optimiser.step()
    assert loss.mean().item() < 2 * math.log(2) * 0.5
    probabilities = halves.clone().requires_grad_()
    model_loss(judge, probabilities, None).sum().backward()
    missing = (discs - halves).bool()
    elsewhere = ~discs.bool() & (x >= 8)
    gain = -probabilities.grad
    assert gain[missing].mean() > 0
    assert gain[missing].mean() > gain[elsewhere].mean()
    grown = F.relu(gain) * missing + halves
    assert (judge(grown.clamp(0, 1)) > judge(halves)).all()
