# SPDX-License-Identifier: Apache-2.0
"""The official SAM 2 and SAM 2.1 (``sam2``), built from the configurations that it ships.

``sam2`` initialises Hydra globally when it is imported, and its builders rely on that. A library
must not: a program with a Hydra of its own would fail. Here the package is imported with Hydra's
state put back afterwards, and its YAML files are read and instantiated directly.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amodal_ros.errors import InvalidInputError

if TYPE_CHECKING:
    from sam2.modeling.sam2_base import SAM2Base

STRIDES = (4, 8, 16, 32)
# What sam2.build_sam.build_sam2 sets with apply_postprocessing.
POSTPROCESSING = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}


def import_sam2() -> Path:
    """Import ``sam2`` and leave Hydra's global state as it was.

    A program that calls ``sam2.build_sam`` itself imports ``sam2`` first, or initialises Hydra
    with ``hydra.initialize_config_module("sam2", version_base="1.2")``.

    Returns:
        The package's folder.
    """
    if "sam2" not in sys.modules:
        from hydra.core.singleton import Singleton

        state = Singleton.get_state()
        try:
            importlib.import_module("sam2")
        finally:
            Singleton.set_state(state)
    return Path(next(iter(sys.modules["sam2"].__path__)))


def build_sam2(member: str, image_size: int = 1024, *, postprocessing: bool = False) -> SAM2Base:
    """Build an official SAM 2 with fresh weights.

    Args:
        member: ``sam2_hiera_t`` or another of :data:`~amodal_ros.modeling.config.SAM2_MEMBERS`.
        image_size: Side of the square input, a multiple of 32.
        postprocessing: What ``sam2`` calls ``apply_postprocessing``.

    Raises:
        InvalidInputError: The installed ``sam2`` has no configuration for this member.
    """
    folder = import_sam2()
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    file = folder / "configs" / member.partition("_")[0] / f"{member}.yaml"
    if not file.is_file():
        raise InvalidInputError(f"the installed sam2 has no configuration {file} for {member}")
    config: Any = OmegaConf.to_container(OmegaConf.load(file))
    options = config["model"]
    options["image_size"] = image_size
    if postprocessing:
        options["sam_mask_decoder_extra_args"] = dict(POSTPROCESSING)
        options["binarize_mask_from_pts_for_mem_enc"] = True
    model: SAM2Base = instantiate(options)
    return model.eval()
