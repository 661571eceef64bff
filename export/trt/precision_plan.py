# SPDX-License-Identifier: Apache-2.0
"""Which nodes of a graph may compute in 16 bits.

Convolutions and matrix products, and whatever only moves or reshapes their results or treats each
number by itself. Layer norms, softmax, reductions, pooling, the residual stream (a sum of two
activations) and the whole mask decoder, also of the video path, stay in float32: that is where
ViTs overflow or lose masks. So do products of dequantised numbers, which TensorRT computes in int8
if nothing is cast in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from amodal_ros.errors import InvalidInputError
from export.trt.graph_reading import ReadGraph

PRECISIONS = ("fp16", "bf16", "fp32")
# Raise it when the rules below change: engines of older rules are then stale.
RULES_VERSION = 2

_HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_MOVING = frozenset(
    [
        "Concat",
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "MaxPool",
        "Pad",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ]
)
_POINTWISE = frozenset(
    ["Add", "Div", "Erf", "Gelu", "LeakyRelu", "Mul", "Neg", "Relu", "Sigmoid", "Sub", "Tanh"]
)
_SUMS = frozenset({"Add", "Sub"})
_FULL_GRAPHS = frozenset({"decoder", "memory_decoder"})
# Numbers that float16 holds at full precision, zero apart; bfloat16 has float32's range.
_HALF_MAX, _HALF_MIN = 65504.0, 2.0**-14


@dataclass(frozen=True, eq=False)
class PrecisionPlan:
    """Where a graph computes in 16 bits.

    Attributes:
        precision: `fp16`, `bf16` or `fp32`: of the nodes in `low`.
        low: positions of the nodes, in `ReadGraph.nodes`, that compute in it.
        low_tensors: the tensors that these nodes give.
    """

    precision: str
    low: frozenset[int]
    low_tensors: frozenset[str]


def plan_precision(graph: ReadGraph, precision: str) -> PrecisionPlan:
    """Decides node by node, in the order of computation.

    Raises:
        InvalidInputError: for an unknown precision.
    """
    if precision not in PRECISIONS:
        raise InvalidInputError(f"precision: expected one of {PRECISIONS}, got {precision!r}")
    low: set[int] = set()
    tensors: set[str] = set()
    if precision != "fp32" and graph.name not in _FULL_GRAPHS:
        dequantised = {
            name
            for node in graph.nodes
            if node.op_type == "DequantizeLinear"
            for name in node.output
        }
        for position, node in enumerate(graph.nodes):
            if not dequantised.isdisjoint(node.input):
                continue
            if _can_be_low(graph, node, tensors) and _constants_fit(graph, node, precision):
                low.add(position)
                tensors |= {name for name in node.output if name and graph.is_float(name)}
    return PrecisionPlan(precision, frozenset(low), frozenset(tensors))


def moves_only(node: onnx.NodeProto) -> bool:
    """Whether a node gives numbers out as they came in."""
    return node.op_type in _MOVING


def _can_be_low(graph: ReadGraph, node: onnx.NodeProto, low_tensors: set[str]) -> bool:
    """Whether the rules allow it; `low_tensors`: what is low so far."""
    activations = [
        name for name in node.input if name not in graph.constants and graph.is_float(name)
    ]
    if node.domain not in ("", "ai.onnx") or not activations:
        return False
    if node.op_type in _HEAVY:
        return True
    if node.op_type in _SUMS and len(activations) > 1:
        return False
    followers = _MOVING | _POINTWISE
    return node.op_type in followers and all(name in low_tensors for name in activations)


def _constants_fit(graph: ReadGraph, node: onnx.NodeProto, precision: str) -> bool:
    """Whether a node's float constants keep their meaning: no overflow, no scale that vanishes."""
    if precision == "bf16":
        return True
    for name in node.input:
        if name in graph.constants and graph.is_float(name):
            sizes = np.abs(graph.values(name))
            largest = float(sizes.max(initial=0.0))
            if not largest <= _HALF_MAX or 0.0 < largest < _HALF_MIN:
                return False
    return True
