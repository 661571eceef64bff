# SPDX-License-Identifier: Apache-2.0
"""From a configuration and files of weights to an amodal model.

The official package of the member that is asked for is imported when it is built, and no other.
"""

from __future__ import annotations

import logging
from pathlib import Path

from amodal_ros.errors import CheckpointError
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.base_weights import BaseWeights, load_official_state, read_base_weights
from amodal_ros.modeling.checkpoint import CheckpointHeader, load_checkpoint, read_header
from amodal_ros.modeling.config import SAM2_MEMBERS, SAM_MEMBERS, AmodalConfig

logger = logging.getLogger(__name__)


def build_amodal(
    config: AmodalConfig, weights: BaseWeights | Path | str | None = None
) -> AmodalModel:
    """Build a member of the family with fresh adapters: until trained it is its base model.

    Args:
        config: What to build.
        weights: Of ``config.base``: read, or where to read them from. None leaves the base model
            random, which is of use for tests and measurements alone.

    Returns:
        The model, in evaluation mode.

    Raises:
        CheckpointError: The weights belong to another member, or cannot be read.
    """
    if isinstance(weights, (str, Path)):
        weights = read_base_weights(weights)
    if weights is None:
        logger.warning("%s is built with random base weights", config.base)
    elif weights.identity.member != config.base:
        raise CheckpointError(
            f"{weights.identity.name} holds weights of {weights.identity.member}, "
            f"expected {config.base}"
        )
    if config.base in SAM_MEMBERS:
        return _build_sam(config, weights)
    if config.base in SAM2_MEMBERS:
        return _build_sam2(config, weights)
    return _build_mobile_sam(config, weights)


def load_amodal(
    checkpoint: Path | str, weights: BaseWeights | Path | str
) -> tuple[AmodalModel, CheckpointHeader]:
    """Build the model that a checkpoint of ours was made for, and load it.

    Returns:
        The model, in evaluation mode, and the checkpoint's header.

    Raises:
        CheckpointError: The checkpoint belongs to other weights (both are named), or a file
            cannot be read.
    """
    if isinstance(weights, (str, Path)):
        weights = read_base_weights(weights)
    header = read_header(checkpoint)
    if header.base.member != weights.identity.member:
        raise CheckpointError(
            f"{checkpoint} was trained on {header.base}, but the weights are {weights.identity}"
        )
    model = build_amodal(header.config, weights)
    load_checkpoint(checkpoint, model, weights.identity)
    return model, header


def _build_sam(config: AmodalConfig, weights: BaseWeights | None) -> AmodalModel:
    from amodal_ros.modeling.amodal_sam import VIT_SPECS, AmodalSam, build_sam

    spec = VIT_SPECS[config.base]
    base = build_sam(spec, config.image_size)
    if weights is not None:
        load_official_state(base, weights.state, origin=weights.identity.name)
    return AmodalSam(config, base, spec.default_positions()).eval()


def _build_sam2(config: AmodalConfig, weights: BaseWeights | None) -> AmodalModel:
    from amodal_ros.modeling.amodal_sam2 import AmodalSam2
    from amodal_ros.modeling.sam2_base import build_sam2

    base = build_sam2(config.base, config.image_size, postprocessing=config.sam2_postprocessing)
    if weights is not None:
        load_official_state(base, weights.state, origin=weights.identity.name)
    return AmodalSam2(config, base).eval()


def _build_mobile_sam(config: AmodalConfig, weights: BaseWeights | None) -> AmodalModel:
    from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
    from amodal_ros.modeling.mobile_sam_base import build_mobile_sam

    if weights is not None:
        return AmodalMobileSam.from_state(config, weights.state)
    return AmodalMobileSam(config, build_mobile_sam(config.image_size)).eval()
