# SPDX-License-Identifier: Apache-2.0
"""Run as a script by one or more processes: writes the gradients of one step."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from tests.training.trainer.synthetic import SOURCE
from training.trainer.build import build_run
from training.trainer.config_files import load_config
from training.trainer.phases import phases_of
from training.trainer.step import GradientStep
from training.trainer.world import World

STEP = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(arguments.config, arguments.overrides, data_schema=SOURCE.schema)
    world = World.launch(config.devices)
    run = build_run(phases_of(config)[0], SOURCE, world)
    state = run.state
    # Fresh adapters give a gradient to their last layer alone.
    generator = torch.Generator().manual_seed(0)
    for parameter in state.model.adapters.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    batches = next(run.load_steps(STEP, STEP + 1))
    step = GradientStep(config, state.model, state.discriminator, world, run.plan)
    values = step.run(batches, STEP)
    gradients = {
        f"{part}.{name}": parameter.grad
        for part, module in (("model", state.model), ("discriminator", state.discriminator))
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }
    kept = {"values": values, "gradients": gradients, "keys": [b.keys for b in batches]}
    torch.save(kept, arguments.out / f"rank_{world.rank}_of_{world.size}.pt")
    world.close()


if __name__ == "__main__":
    main()
