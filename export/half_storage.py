# SPDX-License-Identifier: Apache-2.0
"""Weights stored in float16 and computed with in float32: half the file, the same engine.

ONNX Runtime folds the casts when it loads the graph, so that nothing is added to a run.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from amodal_ros.errors import InvalidInputError

# Biases, norms, embeddings of prompts and the frequencies of the position encoding stay exact:
# they are a thousandth of the file, and the last is multiplied up before a sine.
MIN_ELEMENTS = 2048
_LARGEST_BYTE = 255
_INT64 = TensorProto.INT64


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
        if values.dtype == np.int64 and values.min() >= 0 and values.max() <= _LARGEST_BYTE:
            name = tensor.name  # indices of a table, an eighth of the size
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.uint8), f"{name}_byte"))
            cast = helper.make_node("Cast", [f"{name}_byte"], [name], f"{name}_cast", to=_INT64)
            casts.append(cast)
        if values.dtype != np.float32:
            continue
        limit = float(np.finfo(np.float16).max)
        if not np.abs(values).max() <= limit:
            raise InvalidInputError(
                f"{tensor.name}: float16 holds values up to {limit:.0f}, "
                f"got up to {np.abs(values).max()}"
            )
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(
            helper.make_node(
                "Cast", [f"{name}_half"], [name], f"{name}_cast", to=TensorProto.FLOAT
            )
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return stored
