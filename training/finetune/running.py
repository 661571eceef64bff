# SPDX-License-Identifier: Apache-2.0
"""The training run of a fine-tuning: what a step costs, and all steps."""

from __future__ import annotations

import copy
import logging
import tempfile
from pathlib import Path
from typing import Any

import torch

from training.finetune.recipe import own_alone, write_recipe
from training.trainer.build import build_run
from training.trainer.checkpoints import CheckpointFolder
from training.trainer.config import TrainConfig
from training.trainer.config_files import load_config
from training.trainer.dry_run import measure_steps
from training.trainer.phases import phases_of
from training.trainer.recipe import Recipe
from training.trainer.run_folder import RunFolder
from training.trainer.source import default_source
from training.trainer.world import World

logger = logging.getLogger(__name__)

_WARM_UP, _MEASURED = 1, 1


def device_section(precision: str) -> dict[str, Any]:
    """The section `devices`: one GPU where there is one, else the CPU."""
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "accelerator": accelerator,
        "devices": "1",
        "precision": precision,
        "channels_last": accelerator == "cpu",
    }


def seconds_of_step(config: dict[str, Any]) -> tuple[float, str]:
    """Measure a step in both precisions; some processors have no fast bfloat16.

    Returns:
        Seconds, and the faster precision.
    """
    found = {}
    for precision in ("bf16-mixed", "32-true"):
        trial = own_alone(copy.deepcopy(config))
        trial["devices"] = device_section(precision)
        source = default_source()
        loaded = _loaded(trial)
        world = World.launch(loaded.devices)
        try:
            cost = measure_steps(
                build_run(phases_of(loaded)[0], source, world), _WARM_UP, _MEASURED
            )
        finally:
            world.close()
        found[precision] = cost.data_s + cost.compute_s
    fastest = min(found, key=lambda name: found[name])
    return found[fastest], fastest


def train(file: Path, run: Path) -> Path | None:
    """Train, or go on where a signal or a kill ended it.

    Args:
        file: the configuration.
        run: folder of the run.

    Returns:
        The adapters; None where a signal stopped the run, which the same call continues.

    Raises:
        TrainingDivergedError: see `training.train`.
    """
    source = default_source()
    config = load_config(file, data_schema=source.schema)
    folder = RunFolder(run)
    checkpoints = CheckpointFolder(folder.checkpoints, keep=1)
    last = checkpoints.path(config.steps)
    if config.steps not in checkpoints.steps():
        world = World.launch(config.devices)
        try:
            recipe = Recipe(config, phases_of(config), source, world, folder)
            if folder.exists():
                recipe.resume(allow_changes=False)
            else:
                recipe.start()
            if not recipe.train().is_finished:
                return None
        finally:
            world.close()
    return last / "adapters.safetensors"


def _loaded(config: dict[str, Any]) -> TrainConfig:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "recipe.yaml"
        write_recipe(file, config)
        return load_config(file, data_schema=default_source().schema)
