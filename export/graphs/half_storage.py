# SPDX-License-Identifier: Apache-2.0
"""Weights stored in float16 and computed with in float32: half the file, the same engine.

Indices of tables are stored in bytes, likewise.

ONNX Runtime folds the casts when it loads the graph, so that nothing is added to a run.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from amodal_ros.errors import InvalidInputError

# Biases, norms, embeddings of prompts and the frequencies of the position encoding stay exact:
# they are a thousandth of the file, and the last is multiplied up before a sine.
MIN_ELEMENTS = 2048
_LARGEST_BYTE = 255


def store_weights_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a model with its large float32 constants stored as float16 and cast where read.

    Large int64 constants that fit a byte (indices of tables) are stored as bytes, likewise.

    Raises:
        InvalidInputError: A constant does not fit float16's range; it is named.
    """
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    graph = stored.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.size < MIN_ELEMENTS:
            continue
        if values.dtype == np.float32:
            small, size = _as_half(tensor.name, values), "half"
        elif values.dtype == np.int64 and values.min() >= 0 and values.max() <= _LARGEST_BYTE:
            small, size = values.astype(np.uint8), "byte"
        else:
            continue
        name, kind = tensor.name, tensor.data_type
        casts.append(helper.make_node("Cast", [f"{name}_{size}"], [name], f"{name}_cast", to=kind))
        tensor.CopyFrom(numpy_helper.from_array(small, f"{name}_{size}"))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return stored


def _as_half(name: str, values: np.ndarray) -> np.ndarray:
    limit = float(np.finfo(np.float16).max)
    if not np.abs(values).max() <= limit:
        raise InvalidInputError(
            f"{name}: float16 holds values up to {limit:.0f}, got up to {np.abs(values).max()}"
        )
    return values.astype(np.float16)
