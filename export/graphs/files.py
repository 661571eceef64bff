# SPDX-License-Identifier: Apache-2.0
"""Graphs as files; weights beyond protobuf's 2 GB lie beside the graph.

The manifest vouches for both. The graph also holds its data's sha256, so that the graph's own
sha256, to which engines are tied, changes with the weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from amodal_ros.errors import ManifestError
from amodal_ros.files import file_sha256

# Protobuf's own limit is 2 GiB for the whole message; its nodes and shapes need some room.
MAX_INLINE_BYTES = 2_000_000_000
MIN_EXTERNAL_BYTES = 1024  # smaller tensors stay in the graph
DATA_SUFFIX = ".data"
DIGEST_KEY = "external_data_sha256"


def data_path(graph: Path) -> Path:
    """Where the weights of a graph's file lie, if they lie beside it."""
    return graph.with_name(graph.name + DATA_SUFFIX)


def weight_bytes(model: onnx.ModelProto) -> int:
    """Size of a model's constants, also of one too large to be serialised."""
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def save_graph(model: onnx.ModelProto, path: Path, max_inline: int = MAX_INLINE_BYTES) -> None:
    """Write a graph, and ``PATH.data`` with its weights where they exceed ``max_inline`` bytes."""
    if weight_bytes(model) <= max_inline:
        onnx.save(model, str(path))
        return
    data = data_path(path)
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    onnx.save_model(
        stored,
        str(path),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=data.name,
        size_threshold=MIN_EXTERNAL_BYTES,
    )
    graph = onnx.load(str(path), load_external_data=False)
    onnx.helper.set_model_props(graph, {DIGEST_KEY: file_sha256(data)})
    path.write_bytes(graph.SerializeToString(deterministic=True))
    shutil.copymode(path, data)  # onnx makes it for its owner alone
    onnx.checker.check_model(str(path))


@contextmanager
def temporary_file(
    model: onnx.ModelProto, path: Path, max_inline: int = MAX_INLINE_BYTES // 2
) -> Iterator[Path]:
    """Give a graph as a file, for a library that cannot take it from memory; it goes afterwards.

    Args:
        model: The graph; whole again afterwards.
        path: Of the file; weights beyond ``max_inline`` bytes lie beside it.
        max_inline: See ``path``.
    """
    large = weight_bytes(model) > max_inline
    data = data_path(path)
    try:
        onnx.save(model, str(path), save_as_external_data=large, location=data.name)
        if large:  # saving has taken the weights out of the graph
            load_external_data_for_model(model, str(path.parent))
        yield path
    finally:
        path.unlink(missing_ok=True)
        data.unlink(missing_ok=True)


def check_data(path: Path) -> None:
    """Compare a graph's external weights, if it has any, with the digest that it holds.

    Raises:
        ManifestError: They are missing or altered, or the graph does not vouch for them.
    """
    model = onnx.load(str(path), load_external_data=False)
    if not any(uses_external_data(tensor) for tensor in model.graph.initializer):
        return
    data = data_path(path)
    expected = {entry.key: entry.value for entry in model.metadata_props}.get(DIGEST_KEY)
    if expected is None:
        raise ManifestError(f"{path}: expected {DIGEST_KEY} in its metadata, found none")
    if not data.is_file():
        raise ManifestError(f"{data}: expected the weights of {path.name}, found no file")
    found = file_sha256(data)
    if found != expected:
        raise ManifestError(f"{data}: expected sha256 {expected}, got {found}")
