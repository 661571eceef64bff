# SPDX-License-Identifier: Apache-2.0
"""Writing a model folder: graphs, reference and the manifest that vouches for them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amodal_ros.files import file_sha256, replace_folder
from amodal_ros.model_folder.manifest import MANIFEST_NAME, PRIOR_EXPAND, SCHEMA_VERSION
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD
from export.folder.graph_files import DATA_SUFFIX, data_path, save_graph
from export.folder.options import ExportOptions
from export.folder.output_folder import check_replaceable
from export.folder.source_model import SourceModel
from export.graphs.onnx_graph import OPSET, Component, Tensor

REFERENCE_FILE = "reference.npz"
REPLACED = (".onnx", ".npz", ".json", DATA_SUFFIX)  # what an export writes
EMBEDDING_STRIDE = 16  # input pixels per cell of the embeddings, of all members


@dataclass(frozen=True, eq=False)
class FolderContent:
    """What goes into a model folder beside its graphs.

    Attributes:
        name: Of the model.
        family: ``mobile_sam``, ``sam`` or ``sam2``.
        mode: ``full`` or ``roi``.
        image_size: Side of the input.
        prior_from: What M_spec is made from.
        roi_factor: With mode ``roi``: side of the crop over the longer side of the box.
        weights_precision: ``fp16`` or ``fp32``.
        trained: Whether the adapters were trained.
        source: Where the weights come from.
    """

    name: str
    family: str
    mode: str
    image_size: int
    prior_from: str
    roi_factor: float
    weights_precision: str
    trained: bool
    source: Mapping[str, Any]

    @classmethod
    def of(cls, source: SourceModel, options: ExportOptions) -> FolderContent:
        """Describe a model that is exported with these options."""
        config = source.model.config
        return cls(
            name=options.name or f"amodal_{config.base.replace('mobile_sam', 'mobilesam')}",
            family=source.family,
            mode=options.mode,
            image_size=config.image_size,
            prior_from=options.prior_from or source.prior_from,
            roi_factor=options.roi_factor,
            weights_precision=options.precision,
            trained=source.trained,
            source=source.source,
        )

    @property
    def geometry(self) -> str:
        """How an image lies in the input."""
        if self.mode == "roi":
            return "roi"
        return "stretch" if self.family == "sam2" else "letterbox"


def write_graphs(folder: Path, components: Sequence[Component]) -> None:
    """Write each graph as ``NAME.onnx``."""
    for component in components:
        save_graph(component.model, folder / f"{component.name}.onnx")


def manifest_content(
    folder: Path, components: Sequence[Component], content: FolderContent
) -> dict[str, Any]:
    """Build what ``manifest.json`` holds from the files that lie in the folder."""
    cells = content.image_size // EMBEDDING_STRIDE
    return {
        "schema_version": SCHEMA_VERSION,
        "name": content.name,
        "family": content.family,
        "mode": content.mode,
        "geometry": content.geometry,
        "image_size": content.image_size,
        "embedding_size": cells,
        "low_res_size": 4 * cells,
        "mean": list(PIXEL_MEAN),
        "std": list(PIXEL_STD),
        "mask_threshold": 0.0,
        "prior_expand": PRIOR_EXPAND,
        "prior_from": content.prior_from,
        **({"roi_factor": content.roi_factor} if content.mode == "roi" else {}),
        "weights_precision": content.weights_precision,
        "compute_precision": "fp32",
        "opset": OPSET,
        "trained": content.trained,
        "graphs": {component.name: graph_entry(folder, component) for component in components},
        "reference": _file_entry(folder / REFERENCE_FILE),
        "source": dict(content.source),
    }


def graph_entry(folder: Path, component: Component) -> dict[str, Any]:
    """Describe a graph and its files, which exist."""
    path = folder / f"{component.name}.onnx"
    data = data_path(path)
    return {
        **_file_entry(path),
        **({"data": _file_entry(data)} if data.is_file() else {}),
        "inputs": [_tensor_entry(tensor) for tensor in component.inputs],
        "outputs": [_tensor_entry(tensor) for tensor in component.outputs],
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
            if path.name not in ours and path.suffix not in REPLACED:
                shutil.copy2(path, finished / path.name)
    replace_folder(finished, out)


def _file_entry(path: Path) -> dict[str, Any]:
    return {"file": path.name, "sha256": file_sha256(path), "bytes": path.stat().st_size}


def _tensor_entry(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": "float32", "shape": list(tensor.shape)}
