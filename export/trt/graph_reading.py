# SPDX-License-Identifier: Apache-2.0
"""What a graph's tensors are: constants with their values, and the element type of the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from amodal_ros.errors import InvalidInputError
from export.graphs.files import check_data

# Constants above this size never hold shapes; type inference gets along without their values.
_SMALL_BYTES = 4096


@dataclass(frozen=True, eq=False)
class ReadGraph:
    """A graph taken apart.

    Attributes:
        name: of the graph.
        model: the ONNX model it was read from.
        nodes: what is computed: no constants, and no casts of constants that are stored small.
        constants: of each constant, the tensor as stored; indices stored as bytes as int64.
        widened: constants that are stored in float16 and read as float32.
        types: element type (ONNX's number) of each tensor that is no constant.
    """

    name: str
    model: onnx.ModelProto
    nodes: tuple[onnx.NodeProto, ...]
    constants: dict[str, TensorProto]
    widened: frozenset[str]
    types: dict[str, int]

    def is_float(self, tensor: str) -> bool:
        """Whether a tensor is float32 as the graph computes it."""
        if tensor in self.constants:
            return tensor in self.widened or self.constants[tensor].data_type == TensorProto.FLOAT
        return self.types.get(tensor) == TensorProto.FLOAT

    def values(self, constant: str) -> np.ndarray:
        """A constant's values, in float32 where they are stored in float16."""
        values = numpy_helper.to_array(self.constants[constant])
        return values.astype(np.float32) if constant in self.widened else values


def read_graph(path: Path, name: str) -> ReadGraph:
    """Reads an ONNX file, with its external data where it has some.

    Raises:
        InvalidInputError: for a graph with control flow, or a type that cannot be inferred.
        ManifestError: for external data that is missing or altered.
    """
    check_data(path)
    return take_apart(onnx.load(str(path)), name)


def take_apart(model: onnx.ModelProto, name: str) -> ReadGraph:
    """Takes a model apart; see `read_graph`."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    widened: set[str] = set()
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute):
            raise InvalidInputError(f"{name}: expected no control flow, got {node.op_type}")
        if node.op_type == "Constant" and "value" in attributes:
            constants[node.output[0]] = attributes["value"].t
        elif _casts(node, constants, TensorProto.FLOAT16, TensorProto.FLOAT):
            constants[node.output[0]] = constants[node.input[0]]
            widened.add(node.output[0])
        elif _casts(node, constants, TensorProto.UINT8, TensorProto.INT64):
            # TensorRT has no constants of bytes.
            indices = numpy_helper.to_array(constants[node.input[0]]).astype(np.int64)
            constants[node.output[0]] = numpy_helper.from_array(indices, node.output[0])
        else:
            nodes.append(node)
    types = _infer_types(model, nodes, constants, widened)
    missing = [
        output for node in nodes for output in node.output if output and output not in types
    ]
    if missing:
        raise InvalidInputError(f"{name}: the type of {missing[:3]} cannot be inferred")
    return ReadGraph(name, model, tuple(nodes), constants, frozenset(widened), types)


def _casts(
    node: onnx.NodeProto, constants: dict[str, TensorProto], stored: int, read: int
) -> bool:
    """Whether a node only casts a constant from the type it is stored in to the one it has."""
    return (
        node.op_type == "Cast"
        and node.input[0] in constants
        and constants[node.input[0]].data_type == stored
        and helper.get_node_attr_value(node, "to") == read
    )


def _infer_types(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    constants: dict[str, TensorProto],
    widened: set[str],
) -> dict[str, int]:
    """Element types, inferred on a copy without the weights' values: those may be gigabytes."""
    small, large = [], []
    for name, tensor in constants.items():
        if name not in widened and tensor.ByteSize() <= _SMALL_BYTES:
            copy = TensorProto()
            copy.CopyFrom(tensor)
            copy.name = name
            small.append(copy)
        else:
            kind = TensorProto.FLOAT if name in widened else tensor.data_type
            large.append(helper.make_tensor_value_info(name, kind, list(tensor.dims)))
    graph = helper.make_graph(
        nodes, "types", [*model.graph.input, *large], list(model.graph.output), small
    )
    skeleton = helper.make_model(graph, opset_imports=list(model.opset_import))
    skeleton.ir_version = model.ir_version
    inferred = onnx.shape_inference.infer_shapes(skeleton).graph
    return {
        info.name: info.type.tensor_type.elem_type
        for info in (*inferred.value_info, *inferred.input, *inferred.output)
        if info.name not in constants and info.type.tensor_type.elem_type
    }
