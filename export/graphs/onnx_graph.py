# SPDX-License-Identifier: Apache-2.0
"""One torch module to one clean ONNX graph with a free number of objects and points.

Weights may be stored in float16 and computed with in float32: half the file, the same engine.
Indices of tables are stored in bytes, likewise. ONNX Runtime folds the casts when it loads the
graph, so that nothing is added to a run.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxslim
import torch
from onnx import helper, numpy_helper
from torch import nn

from amodal_ros.errors import InvalidInputError
from export.graphs.files import MAX_INLINE_BYTES, weight_bytes

OPSET = 18
# Constants above this size in bytes are left to be computed where the graph is loaded: a gathered
# table of attention biases, for example, is many times as large as what it is gathered from.
FOLD_LIMIT = 512 * 1024
CHECKED_BYTES = 64 * 1024  # constants that shapes may depend on are smaller


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph as the manifest has it."""

    name: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, eq=False)
class Component:
    """An exported graph.

    Attributes:
        name: ``prefix``, ``suffix`` or ``decoder``.
        model: The graph, weights in float32.
        inputs: All float32.
        outputs: All float32.
    """

    name: str
    model: onnx.ModelProto
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def export_component(
    name: str,
    module: nn.Module,
    examples: tuple[torch.Tensor, ...],
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    *,
    renamed: Mapping[str, Mapping[int, str]] | None = None,
) -> Component:
    """Export a module with ``torch.export``, simplify it, and strip what is not the model.

    Args:
        name: Of the graph.
        module: Put into evaluation mode; called with the inputs in order.
        examples: One tensor per input; free sizes at least 2, or they would be frozen.
        inputs: Names and shapes; equal names of free sizes are one size.
        outputs: Names and shapes.
        renamed: Free sizes of inputs that get a name of their own after the export, where the
            graph also broadcasts size 1.
    """
    names = sorted({size for tensor in inputs for size in tensor.shape if isinstance(size, str)})
    sizes = {size: torch.export.Dim(size) for size in names}
    dynamic = tuple(
        {axis: sizes[size] for axis, size in enumerate(tensor.shape) if isinstance(size, str)}
        for tensor in inputs
    )
    program = torch.onnx.export(
        module.eval(),
        examples,
        dynamo=True,
        opset_version=OPSET,
        input_names=[tensor.name for tensor in inputs],
        output_names=[tensor.name for tensor in outputs],
        dynamic_shapes=dynamic,
        optimize=True,
        external_data=False,
        verbose=False,
    )
    exported = program.model_proto
    del program  # of ViT-H each copy is gigabytes; what the exporter leaves hangs in cycles
    gc.collect()
    # Shapes are inferred from a serialised graph, which cannot exceed 2 GB; the exporter has
    # written them into the graph already.
    too_large = weight_bytes(exported) > MAX_INLINE_BYTES
    model = onnxslim.slim(exported, size_threshold=FOLD_LIMIT, no_shape_infer=too_large)
    del exported
    gc.collect()
    renamed_inputs = tuple(
        _rename(tensor, (renamed or {}).get(tensor.name, {})) for tensor in inputs
    )
    clean(model, name, renamed_inputs, outputs)
    return Component(name, model, renamed_inputs, outputs)


def _rename(tensor: Tensor, axes: Mapping[int, str]) -> Tensor:
    return Tensor(tensor.name, tuple(axes.get(i, size) for i, size in enumerate(tensor.shape)))


def clean(
    model: onnx.ModelProto, name: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]
) -> None:
    """Remove traces of the machine and versions that exported it; state the shapes.

    The same weights then give the same bytes.
    """
    model.producer_name, model.producer_version, model.doc_string = "amodal_ros", "", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.name, graph.doc_string = name, ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for field, tensors in ((graph.input, inputs), (graph.output, outputs)):
        del field[:]
        field.extend(
            onnx.helper.make_tensor_value_info(
                tensor.name, onnx.TensorProto.FLOAT, list(tensor.shape)
            )
            for tensor in tensors
        )
    _share_equal_initializers(graph)
    _check(model)


def _check(model: onnx.ModelProto) -> None:
    """Let onnx check all of a graph but the numbers of its weights, which may exceed 2 GB."""
    graph = model.graph
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = graph.name
    light.graph.node.extend(graph.node)
    light.graph.input.extend(graph.input)
    light.graph.output.extend(graph.output)
    for tensor in graph.initializer:
        if len(tensor.raw_data) <= CHECKED_BYTES:
            light.graph.initializer.append(tensor)
        else:
            light.graph.input.append(
                onnx.helper.make_tensor_value_info(
                    tensor.name, tensor.data_type, list(tensor.dims)
                )
            )
    onnx.checker.check_model(light, full_check=True)


def _share_equal_initializers(graph: onnx.GraphProto) -> None:
    """Keep one of several equal constants, such as the index tables of equal windows."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    renamed: dict[str, str] = {}
    for tensor in graph.initializer:
        content = hashlib.sha256(onnx.numpy_helper.to_array(tensor).tobytes()).digest()
        name = first.setdefault((tensor.data_type, tuple(tensor.dims), content), tensor.name)
        if name != tensor.name:
            renamed[tensor.name] = name
    for position in reversed(range(len(graph.initializer))):
        if graph.initializer[position].name in renamed:
            del graph.initializer[position]
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = renamed.get(name, name)


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
