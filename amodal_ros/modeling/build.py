# SPDX-License-Identifier: Apache-2.0
"""From a configuration and a file of official weights to an amodal model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from amodal_ros.errors import CheckpointError
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.config import SAM2_MEMBERS, SAM_MEMBERS, AmodalConfig
from amodal_ros.modeling.official_checkpoints import (
    OfficialCheckpoint,
    load_official_state,
    read_official_checkpoint,
)

logger = logging.getLogger(__name__)


def build_amodal(
    config: AmodalConfig, weights: OfficialCheckpoint | Path | str | None = None
) -> AmodalModel:
    """Build a member of the family with fresh adapters: until trained it is its base model.

    The official package of the member is imported here, and no other.

    Args:
        config: What to build.
        weights: An official checkpoint of ``config.base``; None leaves the base model's weights
            random, which is of use for tests and measurements alone.

    Returns:
        The model, in evaluation mode.

    Raises:
        CheckpointError: The file belongs to another member, or cannot be read.
    """
    if config.base in SAM_MEMBERS:
        from amodal_ros.modeling.amodal_sam import AmodalSam
        from amodal_ros.modeling.sam_base import VIT_SPECS, build_sam

        spec = VIT_SPECS[config.base]
        sam = build_sam(spec, config.image_size)
        _load_weights(sam, config, weights)
        return AmodalSam(config, sam, spec.default_positions()).eval()
    if config.base in SAM2_MEMBERS:
        from amodal_ros.modeling.amodal_sam2 import AmodalSam2
        from amodal_ros.modeling.sam2_base import build_sam2

        sam2 = build_sam2(
            config.base, config.image_size, postprocessing=config.sam2_postprocessing
        )
        _load_weights(sam2, config, weights)
        return AmodalSam2(config, sam2).eval()
    from amodal_ros.modeling.mobile_sam_base import build_mobile_sam
    from amodal_ros.modeling.mobile_sam_member import AmodalMobileSamModel

    mobile_sam = build_mobile_sam(config.image_size)
    _load_weights(mobile_sam, config, weights)
    return AmodalMobileSamModel(config, mobile_sam).eval()


def _load_weights(
    model: Any, config: AmodalConfig, weights: OfficialCheckpoint | Path | str | None
) -> None:
    if weights is None:
        logger.warning("%s is built with random base weights", config.base)
        return
    if not isinstance(weights, OfficialCheckpoint):
        weights = read_official_checkpoint(weights)
    if weights.member != config.base:
        raise CheckpointError(
            f"{weights.path} is a checkpoint of {weights.member}, expected {config.base}"
        )
    load_official_state(model, weights.state, origin=str(weights.path))
