# SPDX-License-Identifier: Apache-2.0
"""`manifest.json` of a model folder: what the model is, and proof that its files are right."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amodal_ros.errors import ManifestError
from amodal_ros.files import file_sha256
from amodal_ros.model_folder.fields import FieldReader

SCHEMA_VERSION = 1
_BOX = "box"
PRIOR_EXPAND = 1.2  # of the width and height of a box, for M_spec (paper 4.1)
MANIFEST_NAME = "manifest.json"
MODES = ("full", "roi")
GEOMETRIES = ("letterbox", "stretch", "roi")
GRAPHS = ("prefix", "suffix", "decoder")
DTYPES = ("float32", "float16", "int64", "int32", "bool")


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type and shape of a graph's input or output.

    Attributes:
        name: of the tensor in the graph.
        dtype: numpy's name of the element type.
        shape: lengths; a string names one that varies, the same name in a graph the same length.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class FileSpec:
    """A file of the model folder.

    Attributes:
        file: its name within the folder.
        sha256: hexadecimal digest of its content.
        bytes: its size.
    """

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class GraphSpec:
    """One graph of the model.

    Attributes:
        file: the ONNX file.
        inputs: of the graph.
        outputs: of the graph.
        data: its weights, where they lie beside it (above 2 GB).
        greatest: of its varying lengths, where the model itself limits them.
    """

    file: FileSpec
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    data: FileSpec | None = None
    greatest: Mapping[str, int] = field(default_factory=dict)

    @property
    def files(self) -> tuple[FileSpec, ...]:
        """All of its files."""
        return (self.file,) if self.data is None else (self.file, self.data)


@dataclass(frozen=True)
class ModelManifest:
    """The content of `manifest.json`, schema version 1.

    Attributes:
        directory: the model folder.
        name: of the model.
        family: `mobile_sam`, `sam` or `sam2`.
        mode: `full`: the whole image is encoded once; `roi`: a crop per object.
        geometry: `letterbox`, `stretch` or, with mode `roi`, `roi`.
        image_size: side of the square input, in pixels.
        embedding_size: side of the embeddings.
        low_res_size: side of the decoder's logits.
        mean: of each RGB channel, in [0, 255].
        std: of each RGB channel, positive.
        mask_threshold: a pixel belongs to a mask where its logit is greater.
        prior_expand: factor of width and height from a box to its M_spec (paper 4.1: 1.2).
        roi_factor: with mode `roi`, the factor from a box to the region cropped; else None.
        weights_precision: of the stored weights, as `fp16`.
        compute_precision: of the arithmetic, as `fp32`.
        opset: of the ONNX files.
        trained: whether the adapters have been trained.
        graphs: `prefix`, `suffix` and `decoder`.
        reference: inputs and masks to verify an engine against.
        source: where the weights come from; free form, for people.
        shared_outline: whether the masks of a decoder that gives both share their outline where
            they end together (`inference/postprocess.py`).
    """

    directory: Path
    name: str
    family: str
    mode: str
    geometry: str
    image_size: int
    embedding_size: int
    low_res_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mask_threshold: float
    prior_expand: float
    roi_factor: float | None
    weights_precision: str
    compute_precision: str
    opset: int
    trained: bool
    graphs: Mapping[str, GraphSpec]
    reference: FileSpec
    source: Mapping[str, Any]
    shared_outline: bool = False

    def path_of(self, graph: str) -> Path:
        """Path of a graph's file."""
        return self.directory / self.graphs[graph].file.file

    @property
    def reference_path(self) -> Path:
        """Path of the reference file."""
        return self.directory / self.reference.file


def default_model_dir() -> Path:
    """The model folder that ships with the package."""
    return Path(str(importlib.resources.files("amodal_ros"))) / "models" / "amodal_mobilesam"


def load_manifest(directory: str | Path, name: str = MANIFEST_NAME) -> ModelManifest:
    """Reads a model folder's manifest and checks every file it names: presence, size, sha256.

    Args:
        directory: the model folder.
        name: of the manifest: a folder may describe a second size of its model.

    Raises:
        ManifestError: naming the file or field, what was expected and what came.
    """
    folder = Path(directory)
    path = folder / name
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; expected a model folder with a {name}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: expected JSON, got: {error}") from error
    manifest = parse_manifest(content, folder, name)
    verify_files(folder, [f for graph in manifest.graphs.values() for f in graph.files])
    verify_files(folder, [manifest.reference])
    return manifest


def _check_prior_from(fields: FieldReader) -> None:
    """Older manifests say what M_spec is made from where none is given; now it is the box.

    Raises:
        ManifestError: for a model that was trained with something else.
    """
    if "prior_from" not in fields.names():
        return
    found = fields.text("prior_from")
    if found != _BOX:
        raise ManifestError(
            f"{fields.place}: prior_from: expected {_BOX!r} or none, got {found!r}; a model whose"
            " M_spec is another mask is run by the release that exported it, and by no later one"
        )


def parse_manifest(content: object, directory: Path, name: str = MANIFEST_NAME) -> ModelManifest:
    """Builds a manifest from the decoded JSON; touches no file.

    Raises:
        ManifestError: for a missing, unknown or wrong field, named by its path, or another
            schema version.
    """
    fields = FieldReader(content, str(directory / name))
    version = fields.integer("schema_version", minimum=1)
    if version != SCHEMA_VERSION:
        raise ManifestError(
            f"{fields.place}: schema_version: expected {SCHEMA_VERSION}, got {version};"
            " it was written by a newer release of amodal_ros"
        )
    mode = fields.choice("mode", MODES)
    geometry = fields.choice("geometry", GEOMETRIES)
    if (mode == "roi") != (geometry == "roi"):
        raise ManifestError(
            f"{fields.place}: geometry: expected 'roi' with mode 'roi' and only there,"
            f" got {geometry!r} with mode {mode!r}"
        )
    _check_prior_from(fields)
    graphs = fields.section("graphs")
    manifest = ModelManifest(
        directory=directory,
        name=fields.text("name"),
        family=fields.text("family"),
        mode=mode,
        geometry=geometry,
        image_size=fields.integer("image_size", minimum=1),
        embedding_size=fields.integer("embedding_size", minimum=1),
        low_res_size=fields.integer("low_res_size", minimum=1),
        mean=fields.triple("mean"),
        std=fields.triple("std", positive=True),
        mask_threshold=fields.number("mask_threshold"),
        prior_expand=fields.number("prior_expand", minimum=1.0),
        roi_factor=fields.number("roi_factor", minimum=1.0) if mode == "roi" else None,
        weights_precision=fields.text("weights_precision"),
        compute_precision=fields.text("compute_precision"),
        opset=fields.integer("opset", minimum=1),
        trained=fields.flag("trained"),
        graphs={name: read_graph_spec(graphs.section(name)) for name in GRAPHS},
        reference=_read_file(fields.section("reference"), end=True),
        source=fields.mapping("source"),
        shared_outline="shared_outline" in fields.names() and fields.flag("shared_outline"),
    )
    graphs.end()
    fields.end()
    return manifest


def read_graph_spec(fields: FieldReader) -> GraphSpec:
    """Reads one entry of `graphs`.

    Raises:
        ManifestError: for a missing, unknown or wrong field.
    """
    spec = GraphSpec(
        _read_file(fields, end=False),
        tuple(_read_tensor(entry) for entry in fields.sections("inputs")),
        tuple(_read_tensor(entry) for entry in fields.sections("outputs")),
        _read_file(fields.section("data"), end=True) if "data" in fields.names() else None,
    )
    fields.end()
    return spec


def _read_file(fields: FieldReader, end: bool) -> FileSpec:
    """Reads the fields of a file; `end`: they are the only ones."""
    name = fields.text("file")
    if Path(name).name != name or name in (".", "..") or "\\" in name:
        raise ManifestError(f"{fields.place}.file: expected a plain file name, got {name!r}")
    spec = FileSpec(name, fields.sha256("sha256"), fields.integer("bytes", minimum=1))
    if end:
        fields.end()
    return spec


def _read_tensor(fields: FieldReader) -> TensorSpec:
    """Reads name, dtype and shape of a tensor."""
    spec = TensorSpec(fields.text("name"), fields.choice("dtype", DTYPES), fields.shape("shape"))
    fields.end()
    return spec


def verify_files(folder: Path, specs: Iterable[FileSpec]) -> None:
    """Checks files of a model folder.

    Raises:
        ManifestError: unless each exists with the size and sha256 of its spec.
    """
    for spec in specs:
        path = folder / spec.file
        if not path.is_file():
            raise ManifestError(f"{path}: expected a file of {spec.bytes} bytes, found none")
        size = path.stat().st_size
        if size != spec.bytes:
            raise ManifestError(f"{path}: expected {spec.bytes} bytes, got {size}")
        check_digest(path, spec.sha256)


def check_digest(path: Path, sha256: str) -> None:
    """Checks that a file is the one described.

    Raises:
        ManifestError: it cannot be read, or its sha256 is another.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error
    if found != sha256:
        raise ManifestError(f"{path}: expected sha256 {sha256}, got {found}")
