# SPDX-License-Identifier: Apache-2.0
"""The official SAM 2 and SAM 2.1 (``sam2``), built from the configurations that it ships.

``sam2`` initialises Hydra globally when it is imported, and its builders rely on that. A library
must not: a program with a Hydra of its own would fail. Here the package is imported with Hydra's
state put back afterwards, and its YAML files are read and instantiated directly.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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


STAGES = (1, 2, 3, 4)


@dataclass(frozen=True)
class HieraLayout:
    """Blocks of Hiera's four stages.

    The paper puts one adapter at the outset of each stage, so that features are completed at all
    four spatial scales. The first block of stages 2 to 4 is what halves the resolution; their
    adapter follows it, and is the first thing that happens at the stage's own scale. The first
    stage's adapter comes before its first block. Every output of a stage has passed its adapter.
    """

    first_blocks: tuple[int, ...]
    last_blocks: tuple[int, ...]
    channels: tuple[int, ...]

    @classmethod
    def of(cls, trunk: Any) -> HieraLayout:
        """Read the layout from an official ``Hiera``.

        Raises:
            InvalidInputError: It has no four stages, or one of a single block after the first.
        """
        last = tuple(trunk.stage_ends)
        first = (0, *(end + 1 for end in last[:-1]))
        is_short = any(a == b for a, b in zip(first[1:], last[1:], strict=True))
        if len(last) != len(STAGES) or is_short:
            raise InvalidInputError(
                f"expected a Hiera of four stages, all but the first of two blocks or more, "
                f"got stages that end at blocks {last}"
            )
        return cls(first, last, tuple(trunk.channel_list[::-1]))

    def adapted_block(self, stage: int) -> int:
        """Return the block before which the adapter of stage 1 to 4 sits."""
        return 0 if stage == 1 else self.first_blocks[stage - 1] + 1

    def stage_ending_at(self, block: int) -> int | None:
        """Return the stage 1 to 4 whose last block this is, or None."""
        return self.last_blocks.index(block) + 1 if block in self.last_blocks else None

    def stages_with_adapter(self, positions: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Yield ``(stage, block before which its adapter sits)``.

        Raises:
            InvalidInputError: A position is not that of a stage.
        """
        for stage in positions:
            if stage not in STAGES:
                raise InvalidInputError(f"positions must be stages 1 to 4, got {positions}")
            yield stage, self.adapted_block(stage)
