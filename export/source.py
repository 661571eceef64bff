# SPDX-License-Identifier: Apache-2.0
"""The torch model that is exported, and what its manifest says about where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import file_sha256
from amodal_ros.model_folder.manifest import load_manifest
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.base_weights import BaseWeights, read_base_weights
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.checkpoint import load_checkpoint, read_header
from amodal_ros.modeling.config import AmodalConfig
from export.options import ExportOptions

# Of the mask decoder of every member.
_NORM_WEIGHTS = ("norm1.weight", "norm2.weight", "norm3.weight", "norm4.weight")


@dataclass(frozen=True, eq=False)
class SourceModel:
    """A model to export.

    Attributes:
        model: In evaluation mode, float32.
        trained: Whether its adapters were trained.
        random_base: Whether its base was never trained.
        source: For the manifest.
    """

    model: AmodalModel
    trained: bool
    random_base: bool
    source: Mapping[str, Any]

    @property
    def family(self) -> str:
        """``mobile_sam``, ``sam`` or ``sam2``."""
        return self.model.config.family


def read_source(options: ExportOptions) -> SourceModel:
    """Build the model from its files.

    Raises:
        CheckpointError: Weights are unreadable or do not fit each other.
        InvalidInputError: The adapters cannot be exported, or options contradict the checkpoint.
    """
    return build_source(options, read_base_weights(options.base))


def build_source(options: ExportOptions, weights: BaseWeights) -> SourceModel:
    """Build the model on base weights in memory; see :func:`read_source`."""
    header = None if options.checkpoint is None else read_header(options.checkpoint)
    if header is None:
        config = _untrained_config(options, weights.identity.member)
    else:
        config = header.config
        _refuse_architecture(options, options.checkpoint)
    if options.image_size is not None:
        config = AmodalConfig.from_dict({**config.to_dict(), "image_size": options.image_size})
    if config.place != "encoder":
        raise InvalidInputError(
            f"{options.checkpoint}: its adapters sit in the {config.place}; expected adapters in "
            "the encoder, the others are not exported"
        )
    torch.manual_seed(options.seed)
    model = build_amodal(config, weights)
    source: dict[str, Any] = {
        "base": weights.identity.name,
        "sha256": dict(weights.identity.files),
        "random_weights": is_untrained(weights.state),
        "config": config.to_dict(),
        "adapter_sha256": None,
    }
    if options.checkpoint is not None:
        load_checkpoint(options.checkpoint, model, weights.identity)
        source["adapter_sha256"] = file_sha256(options.checkpoint)
    trained = bool(header is not None and header.training)
    return SourceModel(model, trained, source["random_weights"], source)


def is_untrained(state: Mapping[str, torch.Tensor]) -> bool:
    """Tell random base weights by the mask decoder's layer norms, all still exactly one."""
    norms = [
        value
        for name, value in state.items()
        if "mask_decoder.transformer.layers." in name and name.endswith(_NORM_WEIGHTS)
    ]
    return all(bool((value == 1.0).all()) for value in norms)


def _refuse_architecture(options: ExportOptions, known: Path | None) -> None:
    """Make sure that the architecture is said once, by what is known of it already."""
    given = options.positions or options.decoder_positions or options.hidden_dim is not None
    if given or options.like not in (None, known):
        raise InvalidInputError(f"positions and hidden_dim are those of {known}; expected none")


def _untrained_config(options: ExportOptions, member: str) -> AmodalConfig:
    if options.like is not None:
        _refuse_architecture(options, options.like)
        config = AmodalConfig.from_dict(load_manifest(options.like).source["config"])
        if config.base != member:
            raise InvalidInputError(
                f"{options.like}: expected a model on {member}, got {config.base}"
            )
        return config
    values: dict[str, Any] = {
        "base": member,
        "positions": options.positions,
        "decoder_positions": options.decoder_positions,
    }
    if options.hidden_dim is not None:
        values["hidden_dim"] = options.hidden_dim
    return AmodalConfig(**values)
