# SPDX-License-Identifier: Apache-2.0
"""From a model's path to what evaluation asks for masks."""

from __future__ import annotations

from pathlib import Path

from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.errors import InvalidInputError
from amodal_ros.files import file_sha256
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import cpu_rows
from amodal_ros.model_folder.manifest import MANIFEST_NAME, load_manifest
from training.evaluation.segmenters import ModelDescription, OpenedModel, with_scaled_gain


def open_model(
    model: Path,
    adapter_gain: float = 1.0,
    base: Path | None = None,
    threads: int = 0,
    *,
    second_look: bool = False,
    ask_twice: bool = True,
    fine_edges: bool = True,
) -> OpenedModel:
    """Open a model folder or a checkpoint.

    Args:
        model: a folder with ``manifest.json``, or a ``.safetensors`` checkpoint.
        adapter_gain: see `ModelDescription`.
        base: base weights that a checkpoint belongs to: an official checkpoint, or a folder with
            the two ONNX files; needed for checkpoints only.
        threads: for ONNX; 0: the number of cores.
        second_look: for ONNX; see `AmodalPredictor`.
        ask_twice: likewise, for checkpoints too.
        fine_edges: likewise; gain 0 gives the base model's masks as they are.

    Raises:
        InvalidInputError: neither, base weights are missing or not wanted, or a checkpoint is to
            look twice.
        AmodalError: the files cannot be loaded.
    """
    fine_edges = fine_edges and adapter_gain != 0
    if model.is_dir():
        if base is not None:
            raise InvalidInputError(f"{model} is a model folder and needs no base weights")
        return open_model_folder(
            model,
            adapter_gain,
            threads,
            second_look=second_look,
            ask_twice=ask_twice,
            fine_edges=fine_edges,
        )
    if not model.is_file():
        raise InvalidInputError(f"{model}: no such model folder or checkpoint")
    if base is None:
        raise InvalidInputError(f"{model} is a checkpoint: its base weights are needed too")
    if second_look:
        raise InvalidInputError(f"second_look: expected a model folder, {model} is a checkpoint")
    from training.evaluation.torch_segmenter import open_checkpoint

    return open_checkpoint(model, base, adapter_gain, ask_twice=ask_twice, fine_edges=fine_edges)


def open_model_folder(
    folder: Path,
    adapter_gain: float,
    threads: int = 0,
    *,
    second_look: bool = False,
    ask_twice: bool = True,
    fine_edges: bool = True,
) -> OpenedModel:
    """Open a model folder, to be run as the node runs it.

    Args:
        folder: with ``manifest.json``.
        adapter_gain: see `ModelDescription`.
        threads: within an operator; 0: the number of cores.
        second_look: see `AmodalPredictor`.
        ask_twice: likewise.
        fine_edges: likewise.

    Raises:
        ManifestError: a file is missing, altered or unusable.
        BackendError: the engine cannot be loaded.
    """
    manifest = load_manifest(folder)
    engine = OnnxRuntimeBackend(manifest, intra_op_threads=threads)
    description = ModelDescription(
        name=manifest.name,
        kind="onnx",
        path=str(folder),
        sha256=file_sha256(folder / MANIFEST_NAME),
        trained=manifest.trained,
        adapter_gain=adapter_gain,
        details={
            "mode": manifest.mode,
            **({"second_look": True} if second_look else {}),
            "ask_twice": ask_twice,
            "fine_edges": fine_edges,
            "weights_precision": manifest.weights_precision,
            "graphs": {name: spec.file.sha256 for name, spec in manifest.graphs.items()},
            "source": dict(manifest.source),
        },
    )
    predictor = AmodalPredictor(
        manifest,
        with_scaled_gain(engine, adapter_gain),
        cpu_rows(threads),
        second_look=second_look,
        ask_twice=ask_twice,
        fine_edges=fine_edges,
    )
    return OpenedModel(predictor, description)
