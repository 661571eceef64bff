# SPDX-License-Identifier: Apache-2.0
"""A model folder: its graphs, their manifest, a reference; complete in its place, or not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amodal_ros.files import file_sha256, replace_folder, write_text
from amodal_ros.model_folder.manifest import (
    MANIFEST_NAME,
    PRIOR_EXPAND,
    SCHEMA_VERSION,
    ModelManifest,
    load_manifest,
    parse_manifest,
)
from amodal_ros.model_folder.memory import MEMORY_NAME
from amodal_ros.model_folder.memory import SCHEMA_VERSION as MEMORY_SCHEMA_VERSION
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD
from amodal_ros.modeling.torch_backend import TorchBackend
from amodal_ros.verification.reference import save_reference
from export.graphs.files import DATA_SUFFIX, check_data, data_path, save_graph
from export.graphs.onnx_graph import OPSET, Component, Tensor
from export.options import ExportOptions, check_replaceable
from export.reference import make_reference
from export.source import SourceModel

REFERENCE_FILE = "reference.npz"
REPLACED = (".onnx", ".npz", ".json", DATA_SUFFIX)  # what an export writes
EMBEDDING_STRIDE = 16  # input pixels per cell of the embeddings, of all members
# Takes the reference's place in the manifest until it has been computed, for which the manifest of
# the graphs is needed.
_NO_REFERENCE = {"file": REFERENCE_FILE, "sha256": "0" * 64, "bytes": 1}


def write_graphs(folder: Path, components: Sequence[Component]) -> dict[str, dict[str, Any]]:
    """Write each graph as ``NAME.onnx`` and describe it, as a manifest does."""
    entries = {}
    for component in components:
        path = folder / f"{component.name}.onnx"
        save_graph(component.model, path)
        check_data(path)
        entries[component.name] = _graph_entry(path, component)
    return entries


def write_manifest(
    folder: Path,
    graphs: Mapping[str, Any],
    source: SourceModel,
    options: ExportOptions,
    backend: TorchBackend,
) -> ModelManifest:
    """Compute the reference, write it and ``manifest.json``, and read the folder as a user does.

    Args:
        folder: With the graphs.
        graphs: From :func:`write_graphs`.
        source: The model.
        options: What the graphs were exported with.
        backend: The model as an engine: the reference's masks are its answer.
    """
    content = manifest_content(graphs, source, options)
    reference = make_reference(parse_manifest(content, folder), backend)
    save_reference(folder / REFERENCE_FILE, reference)
    content["reference"] = _file_entry(folder / REFERENCE_FILE)
    write_text(folder / MANIFEST_NAME, json.dumps(content, indent=2) + "\n")
    return load_manifest(folder)


def write_memory(folder: Path, graphs: Mapping[str, Any], base: Any) -> None:
    """Write ``memory.json`` of a SAM 2: its video graphs, and what a caller keeps how long.

    Args:
        folder: With the graphs.
        graphs: From :func:`write_graphs`.
        base: Official ``SAM2Base``.
    """
    content = {
        "schema_version": MEMORY_SCHEMA_VERSION,
        "num_maskmem": int(base.num_maskmem),
        "memory_stride": int(base.memory_temporal_stride_for_eval),
        "max_object_pointers": int(base.max_obj_ptrs_in_encoder),
        "max_conditioning_frames": int(base.max_cond_frames_in_attn),
        "multimask_points": [int(base.multimask_min_pt_num), int(base.multimask_max_pt_num)],
        "graphs": dict(graphs),
    }
    write_text(folder / MEMORY_NAME, json.dumps(content, indent=2) + "\n")


def publish(finished: Path, out: Path) -> None:
    """Put a finished folder in its place in one step.

    Files of the old folder that are none of ours (licences, notes) are kept.

    Raises:
        InvalidInputError: ``out`` exists and is no model folder.
    """
    if out.exists():
        check_replaceable(out)
        ours = {path.name for path in finished.iterdir()}
        for path in out.iterdir():
            if path.name not in ours and path.suffix not in REPLACED:
                shutil.copy2(path, finished / path.name)
    replace_folder(finished, out)


def manifest_content(
    graphs: Mapping[str, Any], source: SourceModel, options: ExportOptions
) -> dict[str, Any]:
    """What ``manifest.json`` holds of a model; the reference's place is not filled yet."""
    config = source.model.config
    cells = config.image_size // EMBEDDING_STRIDE
    return {
        "schema_version": SCHEMA_VERSION,
        "name": options.name or f"amodal_{config.base.replace('mobile_sam', 'mobilesam')}",
        "family": source.family,
        "mode": options.mode,
        "geometry": _geometry(source.family, options.mode),
        "image_size": config.image_size,
        "embedding_size": cells,
        "low_res_size": 4 * cells,
        "mean": list(PIXEL_MEAN),
        "std": list(PIXEL_STD),
        "mask_threshold": 0.0,
        "prior_expand": PRIOR_EXPAND,
        **({"roi_factor": options.roi_factor} if options.mode == "roi" else {}),
        "weights_precision": options.precision,
        "compute_precision": "fp32",
        "opset": OPSET,
        "trained": source.trained,
        "graphs": dict(graphs),
        "reference": _NO_REFERENCE,
        "source": dict(source.source),
    }


def _geometry(family: str, mode: str) -> str:
    """How an image lies in the input."""
    if mode == "roi":
        return "roi"
    return "stretch" if family == "sam2" else "letterbox"


def _graph_entry(path: Path, component: Component) -> dict[str, Any]:
    data = data_path(path)
    return {
        **_file_entry(path),
        **({"data": _file_entry(data)} if data.is_file() else {}),
        "inputs": [_tensor_entry(tensor) for tensor in component.inputs],
        "outputs": [_tensor_entry(tensor) for tensor in component.outputs],
    }


def _file_entry(path: Path) -> dict[str, Any]:
    return {"file": path.name, "sha256": file_sha256(path), "bytes": path.stat().st_size}


def _tensor_entry(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": "float32", "shape": list(tensor.shape)}
