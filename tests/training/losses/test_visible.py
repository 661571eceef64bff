# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from training.losses.segmentation import intrusion_loss


def test_it_is_the_share_of_the_mask_on_others():
    logits = torch.full((2, 1, 8, 8), -30.0)
    logits[:, :, :, :4] = 30.0
    others = torch.zeros(2, 1, 8, 8)
    others[0, :, :4, :] = 1.0
    share = intrusion_loss(logits, others, torch.ones_like(others))
    assert share.tolist() == pytest.approx([0.5, 0.0], abs=1e-5)


def test_padding_is_not_counted_and_an_empty_mask_costs_nothing():
    logits = torch.full((2, 1, 8, 8), 30.0)
    logits[1] = -30.0
    others = torch.zeros(2, 1, 8, 8)
    others[:, :, :4] = 1.0
    valid = torch.ones_like(others)
    valid[:, :, :2] = 0.0
    share = intrusion_loss(logits, others, valid)
    assert share.tolist() == pytest.approx([2 / 6, 0.0], abs=1e-5)


def test_its_gradient_takes_the_mask_off_the_others():
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    others = torch.zeros(1, 1, 8, 8)
    others[:, :, :4] = 1.0
    intrusion_loss(logits, others, torch.ones_like(others)).sum().backward()
    assert float(logits.grad[:, :, :3].min()) > 0
    assert float(logits.grad[:, :, 5:].max()) < 0
