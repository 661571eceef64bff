# SPDX-License-Identifier: Apache-2.0
"""What changes over a run, as functions of the step alone: nothing here needs to be saved."""

from __future__ import annotations

import math

from training.trainer.config import DiscriminatorConfig, OptimiserConfig


def learning_rate(config: OptimiserConfig, step: int, steps: int) -> float:
    """Return the learning rate of a step; the paper's goes linearly from 1e-4 to 5e-5 (4.1).

    Args:
        config: Rates and shape.
        step: 0 to ``steps - 1``.
        steps: Of the whole run.
    """
    if step < config.warm_up_steps:
        return config.lr * (step + 1) / (config.warm_up_steps + 1)
    progress = (step - config.warm_up_steps) / max(1, steps - 1 - config.warm_up_steps)
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "cosine":
        progress = (1.0 - math.cos(math.pi * progress)) / 2.0
    return config.lr + (config.final_lr - config.lr) * progress


def adversarial_ramp(config: DiscriminatorConfig, step: int) -> float:
    """Return by what L_hol's weight is multiplied: from 0 up to 1."""
    if config.warm_up_steps == 0:
        return 1.0
    return min(1.0, step / config.warm_up_steps)


def mask_noise(config: DiscriminatorConfig, step: int) -> float:
    """Return the standard deviation of the noise on the discriminator's masks."""
    if config.noise_steps == 0:
        return 0.0
    return config.noise * max(0.0, 1.0 - step / config.noise_steps)
