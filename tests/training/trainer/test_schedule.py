# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from amodal_ros.errors import InvalidInputError
from training.trainer.config import DiscriminatorConfig, OptimiserConfig, StopConfig
from training.trainer.guard import DivergenceGuard
from training.trainer.loading import BatchPlan, MicroBatches
from training.trainer.phases import adversarial_ramp, learning_rate, mask_noise


def test_the_papers_rate_falls_linearly():
    config = OptimiserConfig()
    rates = [learning_rate(config, step, 101) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4)
    assert rates[50] == pytest.approx(7.5e-5)
    assert rates[100] == pytest.approx(5e-5)


def test_warm_up_then_cosine():
    config = OptimiserConfig(lr=1.0, final_lr=0.0, schedule="cosine", warm_up_steps=4)
    rates = [learning_rate(config, step, 15) for step in range(15)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[9] == pytest.approx(0.5)
    assert rates[14] == pytest.approx(0.0)
    constant = OptimiserConfig(lr=1.0, schedule="constant")
    assert {learning_rate(constant, step, 9) for step in range(9)} == {1.0}


def test_the_adversary_comes_in_slowly_and_the_noise_goes():
    config = DiscriminatorConfig(warm_up_steps=10, noise=0.1, noise_steps=20)
    assert adversarial_ramp(config, 0) == 0.0
    assert adversarial_ramp(config, 5) == 0.5
    assert adversarial_ramp(config, 50) == 1.0
    assert mask_noise(config, 0) == pytest.approx(0.1)
    assert mask_noise(config, 10) == pytest.approx(0.05)
    assert mask_noise(config, 30) == 0.0
    assert adversarial_ramp(DiscriminatorConfig(warm_up_steps=0), 0) == 1.0
    assert mask_noise(DiscriminatorConfig(noise_steps=0), 0) == 0.0


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("per_device", [1, 2])
def test_a_step_consumes_the_same_items_however_they_are_spread(world_size, per_device):
    plan = BatchPlan(8, per_device, world_size)
    taken = [MicroBatches(plan, rank, 3, 5) for rank in range(world_size)]
    for sampler in taken:
        assert len(list(sampler)) == len(sampler) == 2 * plan.accumulation
        assert all(len(micro) == per_device for micro in sampler)
    items = sorted(i for sampler in taken for micro in sampler for i in micro)
    assert items == list(range(24, 40))


def test_a_batch_that_cannot_be_spread_is_refused():
    with pytest.raises(InvalidInputError, match="3 x 2, got 8"):
        BatchPlan(8, 3, 2)


def test_a_runaway_loss_is_a_fault_and_an_ordinary_jump_is_not():
    guard = DivergenceGuard(StopConfig(factor=10.0, after_steps=5))
    for _ in range(6):
        assert guard.fault({"loss": 2.0, "grad_norm": 1.0}) is None
    assert guard.fault({"loss": 15.0, "grad_norm": 1.0}) is None
    assert "over 10 x its running mean" in guard.fault({"loss": 50.0, "grad_norm": 1.0})
    assert guard.fault({"loss": 2.0, "grad_norm": float("inf")}) == "grad_norm is inf"
    early = DivergenceGuard(StopConfig(factor=10.0, after_steps=5))
    early.fault({"loss": 1.0})
    assert early.fault({"loss": 1e6}) is None
