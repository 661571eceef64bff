# SPDX-License-Identifier: Apache-2.0
"""The training run of a fine-tuning: its recipe, what a step costs, and all steps."""

from __future__ import annotations

import copy
import logging
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

from amodal_ros.files import write_text
from training.finetune.material import Material
from training.finetune.settings import FinetuneSettings
from training.finetune.start import Start
from training.trainer.build import build_run
from training.trainer.checkpoints import CheckpointFolder
from training.trainer.config import TrainConfig
from training.trainer.config_files import load_config
from training.trainer.dry_run import measure_steps
from training.trainer.loading import default_source
from training.trainer.phases import phases_of
from training.trainer.recipe import Recipe
from training.trainer.run_folder import RunFolder
from training.trainer.world import World

BATCH = 16
_OWN, _OWN_PHOTOS, _SCENES, _GENERAL = 3.0, 2.0, 2.0, 1.5  # how often each is drawn from
_REGION = (0.8, 1.15)  # of the model's own region: what training sees about it


def recipe(
    start: Start, material: Material, settings: FinetuneSettings, device: dict[str, Any]
) -> dict[str, Any]:
    """Everything that `training.train` needs."""
    model = {**start.header.config.to_dict(), "image_size": start.manifest.image_size}
    two_masks = bool(model.get("visible_output"))
    factor = start.manifest.roi_factor or 1.0
    on_cpu = device["accelerator"] == "cpu"
    data: dict[str, Any] = {
        "framing": start.manifest.mode,
        "occluded_share": 0.55,
        "prior": {"kind_weights": [0.45, 0.2, 0.05, 0.05, 0.25]},
        "sources": _sources(material, settings),
    }
    if start.manifest.mode == "roi":
        data["roi_factor"] = [max(1.0, share * factor) for share in _REGION]
    return {
        "model": model,
        "base_weights": str(start.base),
        "init_from": str(start.adapters),
        "seed": settings.seed,
        "steps": max(1, -(-settings.samples // BATCH)),
        "data": data,
        "loss": {
            "consistency": 0.0,
            "adversarial": 0.0,
            "occlusion": 4.0,
            "visible": 1.0 if two_masks else 0.0,
            "intrusion": 2.0 if two_masks else 0.0,
        },
        "optimiser": {"lr": 2.0e-4, "final_lr": 1.0e-5, "warm_up_steps": 10},
        "batch": {
            "size": BATCH,
            "per_device": BATCH if start.manifest.mode == "roi" else 1,
            "num_workers": 1 if on_cpu else 8,
            "prefetch": 2,
        },
        "devices": device,
        "ema": {"decay": 0.97},
        "checkpoint": {"every_steps": 25, "every_minutes": 2, "keep": 1},
        "validation": {"every_steps": 0},
        "log": {"tensorboard": False},
        "gradient_checkpointing": start.manifest.mode == "full",
    }


def own_alone(config: dict[str, Any]) -> dict[str, Any]:
    """The same with the user's composites alone: for measuring a step before all is made ready."""
    data = {**config["data"], "sources": config["data"]["sources"][:1]}
    return {**config, "data": data, "batch": {**config["batch"], "num_workers": 0}}


def write_recipe(path: Path, config: dict[str, Any]) -> None:
    """Write it where `training.train --config` can read it too."""
    write_text(path, yaml.safe_dump(config, sort_keys=False))


def _sources(material: Material, settings: FinetuneSettings) -> list[dict[str, Any]]:
    """The user's composites come first."""
    options = material.taos("train", settings.keep_back)
    both = [*material.own, *material.general]
    general_weight = len(material.own) / (2 * max(len(material.general), 1))
    shared = {"kind": "taos", "skip_bad": True, "cache": str(material.cache)}
    sources: list[dict[str, Any]] = [
        {
            **shared,
            "materials": both,
            "material_weights": [1.0] * len(material.own)
            + [general_weight] * len(material.general),
            "options": options,
            "weight": _OWN,
        }
    ]
    if material.photos:
        photo_options = {k: options[k] for k in ("part", "held_share")}
        sources.append(
            {
                "kind": "photos",
                "materials": list(material.photos),
                "options": {**photo_options, "target_area": [0.003, 0.6]},
                "cache": str(material.cache),
                "weight": _OWN_PHOTOS,
            }
        )
    if material.general:
        sources.append(
            {
                **shared,
                "materials": list(material.general),
                "options": {**options, "part": "all"},
                "weight": _GENERAL,
            }
        )
    if material.scenes is not None:
        sources.append({"kind": "scenes", "path": str(material.scenes), "weight": _SCENES})
    return sources


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
