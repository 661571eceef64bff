# SPDX-License-Identifier: Apache-2.0
"""The training run: short, at a low rate, half of it on the user's objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from amodal_ros.files import write_text
from training.finetune.material import Material
from training.finetune.settings import FinetuneSettings
from training.finetune.start import Start

BATCH = 16
_OWN, _OWN_PHOTOS, _SCENES, _GENERAL = 3.0, 2.0, 2.0, 1.5  # how often each is drawn from
_REGION = (0.8, 1.15)  # of the model's own region: what training sees about it


def recipe(
    start: Start, material: Material, settings: FinetuneSettings, device: dict[str, Any]
) -> dict[str, Any]:
    """Everything that `training.train` needs.

    Args:
        start: the older model.
        material: to learn from.
        settings: of the user.
        device: the section `devices`.
    """
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
