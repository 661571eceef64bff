# SPDX-License-Identifier: Apache-2.0
"""A graph that takes its weights from the file of another graph with the same weights.

The same model at another input size has other positions and shapes, and the same weights. ONNX
lets a tensor lie anywhere in a file beside the graph: here in the other graph's own file. So that
file stays complete for whoever reads it alone, and the folder holds each weight once.
"""

from __future__ import annotations

import mmap
from pathlib import Path

import onnx
from onnx.external_data_helper import set_external_data

from amodal_ros.files import file_sha256
from export.graphs.files import DIGEST_KEY, MIN_EXTERNAL_BYTES, data_path


def share_weights(model: onnx.ModelProto, other: Path) -> onnx.ModelProto:
    """A graph whose weights point into another graph's file, as far as they stand there.

    Its metadata hold that file's sha256, so that its own changes with the weights.

    Args:
        model: The graph, with its weights inside; it is not changed.
        other: File of the other graph, written already, in the folder where this one will lie.
    """
    shared = onnx.ModelProto()
    shared.CopyFrom(model)
    source = weights_of(other)
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for tensor in shared.graph.initializer:
            size = len(tensor.raw_data)
            offset = data.find(tensor.raw_data) if size >= MIN_EXTERNAL_BYTES else -1
            if offset >= 0:
                set_external_data(tensor, source.name, offset, size)
                tensor.ClearField("raw_data")
    onnx.helper.set_model_props(shared, {DIGEST_KEY: file_sha256(source)})
    return shared


def weights_of(graph: Path) -> Path:
    """The file that holds a graph's weights: its own, or the one beside it."""
    data = data_path(graph)
    return data if data.is_file() else graph
