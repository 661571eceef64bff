# SPDX-License-Identifier: Apache-2.0
"""Writing a model folder: graphs, reference and the manifest that vouches for them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from amodal_ros.errors import InvalidInputError
from amodal_ros.manifest import MANIFEST_NAME, SCHEMA_VERSION, file_sha256
from export.onnx_graph import OPSET, Component, Tensor

REFERENCE_FILE = "reference.npz"
PRIOR_EXPAND = 1.2  # of the width and height of a box, for M_spec (paper 4.1)


@dataclass(frozen=True, eq=False)
class FolderContent:
    """What goes into a model folder beside its graphs.

    Attributes:
        name: Of the model.
        family: ``mobile_sam``.
        image_size: Side of the input.
        embedding_size: Side of the embeddings.
        mean: Per channel, RGB, range 0 to 255.
        std: Per channel, RGB, range 0 to 255.
        weights_precision: ``fp16`` or ``fp32``.
        trained: Whether the adapters were trained.
        source: Where the weights come from.
    """

    name: str
    family: str
    image_size: int
    embedding_size: int
    mean: Sequence[float]
    std: Sequence[float]
    weights_precision: str
    trained: bool
    source: Mapping[str, Any]


def write_graphs(folder: Path, components: Sequence[Component]) -> None:
    """Write each graph as ``NAME.onnx``."""
    for component in components:
        onnx.save(component.model, str(folder / f"{component.name}.onnx"))


def manifest_content(
    folder: Path, components: Sequence[Component], content: FolderContent
) -> dict[str, Any]:
    """Build what ``manifest.json`` holds from the files that lie in the folder."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": content.name,
        "family": content.family,
        "mode": "full",
        "geometry": "letterbox",
        "image_size": content.image_size,
        "embedding_size": content.embedding_size,
        "low_res_size": 4 * content.embedding_size,
        "mean": list(content.mean),
        "std": list(content.std),
        "mask_threshold": 0.0,
        "prior_expand": PRIOR_EXPAND,
        "weights_precision": content.weights_precision,
        "compute_precision": "fp32",
        "opset": OPSET,
        "trained": content.trained,
        "graphs": {
            component.name: {
                **_file_entry(folder / f"{component.name}.onnx"),
                "inputs": [_tensor_entry(tensor) for tensor in component.inputs],
                "outputs": [_tensor_entry(tensor) for tensor in component.outputs],
            }
            for component in components
        },
        "reference": _file_entry(folder / REFERENCE_FILE),
        "source": dict(content.source),
    }


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``manifest.json``."""
    text = json.dumps(content, indent=2) + "\n"
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


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
            if path.name not in ours and path.suffix not in (".onnx", ".npz"):
                shutil.copy2(path, finished / path.name)
        old = finished.with_name(f"{finished.name}.old")
        os.replace(out, old)
        os.replace(finished, out)
        shutil.rmtree(old)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        os.replace(finished, out)


def check_replaceable(out: Path) -> None:
    """Make sure that nothing but a model folder is replaced.

    Raises:
        InvalidInputError: ``out`` exists and is neither empty nor a model folder.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST_NAME).is_file():
        raise InvalidInputError(f"{out} exists and is no model folder; expected a new folder")
    unexpected = [path.name for path in out.iterdir() if path.is_dir()]
    if unexpected:
        raise InvalidInputError(f"{out} holds folders of its own: {unexpected}")


def _file_entry(path: Path) -> dict[str, Any]:
    return {"file": path.name, "sha256": file_sha256(path), "bytes": path.stat().st_size}


def _tensor_entry(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": "float32", "shape": list(tensor.shape)}
