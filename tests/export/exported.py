# SPDX-License-Identifier: Apache-2.0
"""Small exported members of the family with random weights, for tests with model folders."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch

from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.config import AmodalConfig
from export.options import ExportOptions
from export.source import SourceModel
from export.to_onnx import export_source
from tests.modeling.family_support import SMALL, activate, make_case

# Masks of random weights are noise about the threshold: float16 moves more of their pixels.
MIN_MASK_IOU = 0.97

_folders: dict[tuple[object, ...], Path] = {}


def export_member(
    base: str,
    out: Path,
    *,
    mode: str = "full",
    size: int = SMALL,
    precision: str = "fp16",
    narrow: bool = False,
    visible: bool = False,
) -> Path:
    """Export a member with random base weights and adapters that matter.

    The first call of a session with the same arguments exports, later ones copy.

    Args:
        base: As in ``AmodalConfig.base``.
        out: The model folder to make; it must not exist.
        mode: ``full`` or ``roi``.
        size: Side of the input.
        precision: Of the stored weights.
        narrow: All kinds of blocks at a fraction of their width and number: several times as
            fast. With a size of 128 only.
        visible: One pass gives both masks.

    Returns:
        ``out``.
    """
    key = (base, mode, size, precision, narrow, visible)
    if key not in _folders:
        folder = Path(tempfile.mkdtemp(prefix="amodal-exported-")) / "model"
        options = ExportOptions(
            base=Path(base),
            out=folder,
            precision=precision,
            mode=mode,
            min_mask_iou=MIN_MASK_IOU,
        )
        export_source(random_source(base, size, narrow=narrow, visible=visible), options)
        _folders[key] = folder
    shutil.copytree(_folders[key], out)
    return out


def random_source(
    base: str,
    size: int = SMALL,
    *,
    narrow: bool = False,
    positions: tuple[int, ...] = (),
    visible: bool = False,
) -> SourceModel:
    """Build a member with random weights, ready for export.

    ``positions``: of its adapters; ``visible``: one pass gives both masks.
    """
    model: AmodalModel
    torch.manual_seed(0)
    if narrow:
        if size != SMALL:
            raise ValueError(f"narrow members have a size of {SMALL}, got {size}")
        model = make_case(base).build(visible_output=visible)
    else:
        config = AmodalConfig(
            base=base, image_size=size, positions=positions, visible_output=visible
        )
        model = build_amodal(config)
    activate(model)
    source = {"base": "random", "random_weights": True, "config": model.config.to_dict()}
    return SourceModel(model, trained=False, random_base=True, source=source)


def remove_exported() -> None:
    """Delete what this session exported."""
    for folder in _folders.values():
        shutil.rmtree(folder.parent, ignore_errors=True)
    _folders.clear()
