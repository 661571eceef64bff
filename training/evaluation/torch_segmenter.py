# SPDX-License-Identifier: Apache-2.0
"""A torch checkpoint of any member of the family, evaluated in float32 by the node's predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from amodal_ros.backends.base import Backend
from amodal_ros.files import file_sha256
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.base_weights import read_base_weights
from amodal_ros.modeling.build import load_amodal
from amodal_ros.modeling.torch_backend import TorchBackend
from training.evaluation.segmenters import (
    ModelDescription,
    OpenedModel,
    with_scaled_gain,
    without_prior,
)


def open_checkpoint(
    checkpoint: Path,
    base: Path,
    adapter_gain: float = 1.0,
    *,
    ask_twice: bool = True,
    fine_edges: bool = True,
) -> OpenedModel:
    """Build the model on its base weights and load the checkpoint.

    Args:
        checkpoint: ``.safetensors`` with a header of ours.
        base: the base weights the checkpoint says it belongs to.
        adapter_gain: factor on the adapters' residual.
        ask_twice: see `AmodalPredictor`.
        fine_edges: likewise.

    Raises:
        CheckpointError: files are unreadable or do not belong together.
    """
    weights = read_base_weights(base)
    model, header = load_amodal(checkpoint, weights)
    description = ModelDescription(
        name=checkpoint.stem,
        kind="torch",
        path=str(checkpoint),
        sha256=file_sha256(checkpoint),
        trained=bool(header.training),
        adapter_gain=adapter_gain,
        details={
            "base": str(weights.identity),
            "config": header.config.to_dict(),
            "ask_twice": ask_twice,
            "fine_edges": fine_edges,
            "training": dict(header.training),
        },
    )
    roi_factor = trained_roi_factor(header.training)
    return segmenter_of(
        model,
        description,
        roi_factor,
        with_prior=not trained_without_prior(header.training),
        ask_twice=ask_twice,
        fine_edges=fine_edges,
    )


def segmenter_of(
    model: AmodalModel,
    description: ModelDescription,
    roi_factor: float | None = None,
    *,
    with_prior: bool = True,
    ask_twice: bool = False,
    fine_edges: bool = False,
) -> OpenedModel:
    """Wrap a model in memory.

    Args:
        model: any member of the family, in evaluation mode.
        description: for reports; its `adapter_gain` is applied.
        roi_factor: of one that looks at regions of interest.
        with_prior: False empties M_spec, for a model that was trained without.
        ask_twice: see `AmodalPredictor`.
        fine_edges: likewise.
    """
    torch_engine = TorchBackend(model)
    manifest = torch_engine.manifest(description.name, roi_factor=roi_factor)
    engine: Backend = torch_engine if with_prior else without_prior(torch_engine)
    engine = with_scaled_gain(engine, description.adapter_gain)
    manifest = replace(manifest, trained=description.trained)
    predictor = AmodalPredictor(manifest, engine, ask_twice=ask_twice, fine_edges=fine_edges)
    return OpenedModel(predictor, description)


def trained_without_prior(training: Mapping[str, Any]) -> bool:
    """Whether a checkpoint's header says that M_spec was empty in training."""
    data = training.get("config", {}).get("data") or {}
    return (data.get("prior") or {}).get("kind") == "none"


def trained_roi_factor(training: Mapping[str, Any]) -> float | None:
    """What a checkpoint's header says about regions of interest: their factor, or None."""
    data = training.get("config", {}).get("data") or {}
    if data.get("framing") != "roi":
        return None
    return float(data["validation"]["roi_factor"])
