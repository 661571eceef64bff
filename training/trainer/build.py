# SPDX-License-Identifier: Apache-2.0
"""From a configuration to what a run needs: model, discriminator, optimisers, data."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.base_weights import BaseIdentity, identify, read_base_weights
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.checkpoint import load_checkpoint
from amodal_ros.modeling.config import AmodalConfig
from training.losses.adversarial import Discriminator
from training.trainer.config import RANDOM_BASE, TrainConfig
from training.trainer.guard import DivergenceGuard
from training.trainer.loading import Batch, BatchPlan, DataSource, MicroBatches, load_steps
from training.trainer.phases import Phase, Span
from training.trainer.state import TrainState, WeightAverage
from training.trainer.world import World

# The decoder's masks, and so the discriminator's, are a quarter of the input's size.
_MASK_STRIDE = 4


@dataclass(frozen=True, eq=False)
class Run:
    """A run, ready for its first step.

    Attributes:
        config: As it was asked for.
        world: The processes.
        state: What changes.
        plan: How items are spread.
        dataset: Training data.
        validation: Validation data, or None.
        source: Of the data.
        span: The steps for which ``config`` holds.
    """

    config: TrainConfig
    world: World
    state: TrainState
    plan: BatchPlan
    dataset: Dataset
    validation: Dataset | None
    source: DataSource
    span: Span

    def load_steps(self, first: int, last: int) -> Iterator[list[Batch]]:
        """Load this device's micro-batches of the steps ``first`` to ``last - 1``."""
        sampler = MicroBatches(self.plan, self.world.rank, first, last)
        return load_steps(self.dataset, self.source, self.config.batch, sampler)


def build_run(phase: Phase, source: DataSource, world: World) -> Run:
    """Build everything from the configuration's seed, the same in every process.

    Raises:
        AmodalError: The configuration cannot be followed; the message says why.
    """
    config, span = phase.config, phase.span
    plan = BatchPlan(
        config.batch.size, config.batch.per_device, world.size, span.first_step, span.first_item
    )
    if config.devices.deterministic:
        torch.use_deterministic_algorithms(True)
    random.seed(config.seed)
    np.random.seed(config.seed % 2**32)
    torch.manual_seed(config.seed)
    model_config = AmodalConfig.from_dict(config.model)
    state = _build_state(config, model_config, world)
    with world.main_first():  # a cache of the data is filled once, not by all at the same time
        base = state.base.state_sha256
        dataset = source.build(config.data, state.model, base, config.seed)
    validation = None
    if config.validation.every_steps:
        validation = source.build_validation(config.data, model_config)
    return Run(config, world, state, plan, dataset, validation, source, span)


def build_model(config: TrainConfig, model_config: AmodalConfig) -> tuple[AmodalModel, Any]:
    """Build the model, with fresh adapters or those of ``init_from``, and its base's identity.

    Raises:
        CheckpointError: Weights cannot be read, or are of another model.
    """
    identity: BaseIdentity
    if config.base_weights == RANDOM_BASE:
        model = build_amodal(model_config)
        identity = identify(model_config.base, "random weights", model.base.state_dict(), {})
    else:
        weights = read_base_weights(config.base_weights)
        model, identity = build_amodal(model_config, weights), weights.identity
    if config.init_from is not None:
        load_checkpoint(
            config.init_from,
            model,
            identity,
            more_adapters=config.more_adapters,
            without=config.init_without,
        )
    model.gradient_checkpointing = config.gradient_checkpointing
    return model.train(), identity


def _build_state(config: TrainConfig, model_config: AmodalConfig, world: World) -> TrainState:
    model, identity = build_model(config, model_config)
    model.to(world.device)
    if config.devices.channels_last:
        model.to(memory_format=torch.channels_last)
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise InvalidInputError("the model has nothing to train")
    world.broadcast([p.data for p in trained])
    optimiser = _adamw(trained, config.optimiser.lr, config.optimiser)
    discriminator, own_optimiser = None, None
    if config.loss.adversarial:
        discriminator = Discriminator(
            model_config.image_size // _MASK_STRIDE,
            sees_image=config.discriminator.sees_image,
            width=config.discriminator.width,
        ).to(world.device)
        world.broadcast([t.data for t in discriminator.state_dict().values()])
        own_optimiser = _adamw(
            discriminator.parameters(), config.discriminator.lr, config.discriminator
        )
    return TrainState(
        model=model,
        base=identity,
        optimiser=optimiser,
        discriminator=discriminator,
        discriminator_optimiser=own_optimiser,
        average=WeightAverage(model, config.ema.decay) if config.ema.decay else None,
        guard=DivergenceGuard(config.stop),
    )


def _adamw(
    parameters: Iterable[torch.nn.Parameter], lr: float, settings: Any
) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters, lr=lr, betas=tuple(settings.betas), weight_decay=settings.weight_decay
    )
