# SPDX-License-Identifier: Apache-2.0
"""A schedule inside one run: resolution, data, losses and rates that change as it goes.

A configuration's ``phases`` list, for each phase, how many samples it takes and what differs from
the rest of the file. The run goes through them in order, in one run folder, with one count of
steps and of items: what is carried over is the whole state (weights, moments, average).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from amodal_ros.errors import InvalidInputError
from training.trainer.config import DiscriminatorConfig, OptimiserConfig, TrainConfig, check_config
from training.trainer.config_files import config_to_dict

_SAMPLES = "samples"
_CHANGEABLE = ("model", "data", "loss", "optimiser", "batch", "ema", "discriminator")
_MODEL_CHANGEABLE = "image_size"


@dataclass(frozen=True)
class Span:
    """The part of a run that one configuration covers."""

    first_step: int
    last_step: int
    first_item: int
    total_steps: int


@dataclass(frozen=True)
class Phase:
    """A configuration and the part of the run for which it holds."""

    config: TrainConfig
    span: Span


def phases_of(config: TrainConfig) -> tuple[Phase, ...]:
    """Split a run into its phases; a configuration without ``phases`` is one.

    Raises:
        InvalidInputError: A phase changes what must stay, or does not fit the schema.
    """
    if not config.phases:
        return (Phase(config, Span(0, config.steps, 0, config.steps)),)
    configs = [_phase_config(config, number) for number in range(len(config.phases))]
    total = sum(c.steps for c in configs)
    phases, step, item = [], 0, 0
    for one in configs:
        phases.append(Phase(one, Span(step, step + one.steps, item, total)))
        step, item = step + one.steps, item + one.steps * one.batch.size
    return tuple(phases)


def phase_at(phases: Sequence[Phase], step: int) -> int:
    """Return the number of the phase that does the step after ``step`` steps."""
    begun = [number for number, phase in enumerate(phases) if phase.span.first_step <= step]
    return begun[-1]


def _phase_config(config: TrainConfig, number: int) -> TrainConfig:
    phase = config.phases[number]
    place = f"phases[{number}]"
    if not isinstance(phase, Mapping) or not isinstance(phase.get(_SAMPLES), int):
        raise InvalidInputError(f"{place}: expected a mapping with {_SAMPLES}, got {phase!r}")
    changes = {key: value for key, value in phase.items() if key != _SAMPLES}
    wrong = sorted(changes.keys() - set(_CHANGEABLE))
    wrong += [f"model.{key}" for key in changes.get("model", {}) if key != _MODEL_CHANGEABLE]
    if wrong:
        raise InvalidInputError(
            f"{place}: {', '.join(wrong)} cannot change within a run; of a phase's own are "
            f"{', '.join(_CHANGEABLE)}, and of the model its {_MODEL_CHANGEABLE}"
        )
    merged = _merged(config, changes, place)
    merged.steps = max(1, math.ceil(phase[_SAMPLES] / merged.batch.size))
    check_config(merged)
    return merged


def _merged(config: TrainConfig, changes: Mapping[str, Any], place: str) -> TrainConfig:
    schema = OmegaConf.structured(TrainConfig)
    schema.data = OmegaConf.structured(type(config.data)) if config.data is not None else None
    whole = {**config_to_dict(config), "phases": [], "steps": 1}
    try:
        result = OmegaConf.to_object(OmegaConf.merge(schema, whole, dict(changes)))
    except OmegaConfBaseException as error:
        raise InvalidInputError(f"{place}: {str(error).splitlines()[0]}") from error
    if not isinstance(result, TrainConfig):
        raise InvalidInputError(f"{place}: expected a mapping, got {type(result).__name__}")
    return result


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
