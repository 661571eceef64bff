# SPDX-License-Identifier: Apache-2.0
"""From a model's path to what evaluation asks for masks."""

from __future__ import annotations

from pathlib import Path

from amodal_ros.errors import InvalidInputError
from training.evaluation.segmenters import Segmenter, open_model_folder


def open_segmenter(
    model: Path,
    adapter_gain: float = 1.0,
    base: Path | None = None,
    threads: int = 0,
    *,
    second_look: bool = False,
    ask_twice: bool = True,
) -> Segmenter:
    """Open a model folder or a checkpoint.

    Args:
        model: a folder with ``manifest.json``, or a ``.safetensors`` checkpoint.
        adapter_gain: see `ModelDescription`.
        base: base weights that a checkpoint belongs to: an official checkpoint, or a folder with
            the two ONNX files; needed for checkpoints only.
        threads: for ONNX; 0: the number of cores.
        second_look: for ONNX; see `AmodalPredictor`.
        ask_twice: likewise, for checkpoints too.

    Raises:
        InvalidInputError: neither, base weights are missing or not wanted, or a checkpoint is to
            look twice.
        AmodalError: the files cannot be loaded.
    """
    if model.is_dir():
        if base is not None:
            raise InvalidInputError(f"{model} is a model folder and needs no base weights")
        return open_model_folder(
            model, adapter_gain, threads, second_look=second_look, ask_twice=ask_twice
        )
    if not model.is_file():
        raise InvalidInputError(f"{model}: no such model folder or checkpoint")
    if base is None:
        raise InvalidInputError(f"{model} is a checkpoint: its base weights are needed too")
    if second_look:
        raise InvalidInputError(f"second_look: expected a model folder, {model} is a checkpoint")
    from training.evaluation.torch_segmenter import open_checkpoint

    return open_checkpoint(model, base, adapter_gain, ask_twice=ask_twice)
