# SPDX-License-Identifier: Apache-2.0
"""Writes a graph with its precision plan spelt out: as types, or as rounding in float32.

The first form is what a strongly typed engine is built from. The second computes the same on any
CPU: ONNX Runtime's CPU kernels replace 16-bit arithmetic by float32 and drop the rounding, so that
a graph that overflows on a GPU looks right there (tried with 1.32).

The types that TensorRT works in are compared with those that were asked for: with a flag instead
of types in the graph, an engine asked for in float16 came out in float32 without a word (TensorRT
11).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from amodal_ros.errors import BackendError
from export.trt.graph_reading import ReadGraph
from export.trt.precision_plan import PrecisionPlan, moves_only

ONNX_TYPES = {
    "fp16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "fp32": TensorProto.FLOAT,
}


@dataclass(frozen=True, eq=False)
class TypedGraph:
    """A graph to build an engine from.

    Attributes:
        model: the ONNX model; inputs and outputs are those of the model folder.
        types: of each float tensor that is computed: `fp16`, `bf16` or `fp32`.
    """

    model: onnx.ModelProto
    types: Mapping[str, str]


def typed_graph(graph: ReadGraph, plan: PrecisionPlan) -> TypedGraph:
    """Spells the plan out as tensor types, with casts where they change."""
    writer = _Writer(graph, plan)
    types = {}
    for position, node in enumerate(graph.nodes):
        low = position in plan.low
        writer.add(node, [writer.read(name, low) for name in node.input], list(node.output))
        types.update({name: plan.precision if low else "fp32" for name in _floats(graph, node)})
    for output in graph.model.graph.output:
        if output.name in plan.low_tensors:
            types.update({computed_name(output.name): plan.precision, output.name: "fp32"})
    return TypedGraph(writer.finish(), types)


def rounding_graph(graph: ReadGraph, plan: PrecisionPlan) -> onnx.ModelProto:
    """Computes in float32, rounding to 16 bits whatever the plan has in 16 bits."""
    writer = _Writer(graph, plan, rounding=True)
    for position, node in enumerate(graph.nodes):
        low = position in plan.low
        inputs = [writer.read(name, low) for name in node.input]
        rounds = {name for name in _floats(graph, node) if low and not moves_only(node)}
        outputs = [f"{name}__exact" if name in rounds else name for name in node.output]
        writer.add(node, inputs, outputs)
        for name in sorted(rounds):
            writer.round(f"{name}__exact", name)
    return writer.finish()


def computed_name(output: str) -> str:
    """Name of an output of the graph before it is cast to float32."""
    return f"{output}__computed"


def _floats(graph: ReadGraph, node: onnx.NodeProto) -> list[str]:
    return [name for name in node.output if name and graph.is_float(name)]


class _Writer:
    """Collects nodes, constants in the types they are read in, and the casts between types."""

    def __init__(self, graph: ReadGraph, plan: PrecisionPlan, *, rounding: bool = False) -> None:
        self._graph, self._plan, self._rounding = graph, plan, rounding
        self._low_type = ONNX_TYPES[plan.precision]
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._made: set[str] = set()

    def read(self, name: str, low: bool) -> str:
        """The name under which a node reads a tensor."""
        if not name:
            return name
        if name in self._graph.constants:
            return self._constant(name, low and self._graph.is_float(name))
        if not self._graph.is_float(name) or low == (name in self._plan.low_tensors):
            return name
        if self._rounding and not low:
            return name
        return self._cast(name, low)

    def add(self, node: onnx.NodeProto, inputs: list[str], outputs: list[str]) -> None:
        """Adds a copy of a node with other names of inputs and outputs."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.input[:], copy.output[:]
        copy.input.extend(inputs)
        copy.output.extend(outputs)
        self._nodes.append(copy)

    def round(self, source: str, target: str) -> None:
        """Rounds a float32 tensor to 16 bits and back; what does not fit becomes infinite."""
        half = f"{target}__rounded"
        self._nodes.append(helper.make_node("Cast", [source], [half], to=self._low_type))
        self._nodes.append(helper.make_node("Cast", [half], [target], to=TensorProto.FLOAT))

    def finish(self) -> onnx.ModelProto:
        """The model, its outputs in float32."""
        source = self._graph.model
        if not self._rounding:
            self._restore_outputs()
        graph = helper.make_graph(
            self._nodes,
            self._graph.name,
            list(source.graph.input),
            list(source.graph.output),
            list(self._constants.values()),
        )
        model = helper.make_model(graph, opset_imports=list(source.opset_import))
        model.ir_version = source.ir_version
        return model

    def _constant(self, name: str, low: bool) -> str:
        """Takes a constant over, in 16 bits or as it is; once for each type."""
        written = f"{name}__low" if low else name
        if written not in self._constants:
            if low:
                tensor = _low_constant(self._graph.values(name), self._low_type, written)
                if self._rounding:
                    values = numpy_helper.to_array(tensor).astype(np.float32)
                    tensor = numpy_helper.from_array(values, written)
            else:
                tensor = numpy_helper.from_array(self._graph.values(name), written)
            self._constants[written] = tensor
        return written

    def _cast(self, name: str, low: bool) -> str:
        """The other type of an activation, cast once."""
        cast = f"{name}__low" if low else f"{name}__full"
        if cast not in self._made:
            self._made.add(cast)
            if self._rounding:
                self.round(name, cast)
            else:
                kind = self._low_type if low else TensorProto.FLOAT
                self._nodes.append(helper.make_node("Cast", [name], [cast], to=kind))
        return cast

    def _restore_outputs(self) -> None:
        """Gives outputs that are computed in 16 bits their name back as float32."""
        for output in self._graph.model.graph.output:
            if output.name in self._plan.low_tensors:
                low = computed_name(output.name)
                for node in self._nodes:
                    _rename(node.input, output.name, low)
                    _rename(node.output, output.name, low)
                self._nodes.append(
                    helper.make_node("Cast", [low], [output.name], to=TensorProto.FLOAT)
                )


def _rename(names: list[str], old: str, new: str) -> None:
    for position, name in enumerate(names):
        if name == old:
            names[position] = new


def _low_constant(values: np.ndarray, kind: int, name: str) -> TensorProto:
    """A constant in float16 or bfloat16, rounded to the nearest."""
    if kind == TensorProto.FLOAT16:
        return numpy_helper.from_array(values.astype(np.float16), name)
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return helper.make_tensor(name, kind, values.shape, rounded.tobytes(), raw=True)


_DTYPES = {
    "HALF": "fp16",
    "BF16": "bf16",
    "FLOAT": "fp32",
}
# As the engine inspector writes them, in several versions.
_INSPECTED = {
    "half": "fp16",
    "fp16": "fp16",
    "bfloat16": "bf16",
    "bf16": "bf16",
    "float": "fp32",
    "fp32": "fp32",
}


# Where it writes them: TensorRT 11, and those before it.
_TYPE_KEYS = ("DataType", "Datatype", "Format/Datatype")


def check_network_types(
    trt: Any, network: Any, name: str, wanted: Mapping[str, str], strongly_typed: bool
) -> tuple[int, int]:
    """Compares a parsed network's tensors with the graph that it was parsed from.

    A network that is not strongly typed (TensorRT 8.6) gets the wanted types as constraints.

    Returns:
        How many tensors were compared, and how many of these are in 16 bits.

    Raises:
        BackendError: naming the tensors that differ; or when too few were found to tell.
    """
    found: dict[str, str] = {}
    for position in range(network.num_layers):
        layer = network.get_layer(position)
        for output in range(layer.num_outputs):
            tensor = layer.get_output(output)
            kind = _DTYPES.get(tensor.dtype.name) if tensor is not None else None
            if kind is None or tensor.name not in wanted:
                continue
            if not strongly_typed:
                layer.precision = getattr(trt, "float16" if _low(wanted, tensor) else "float32")
                layer.set_output_type(output, layer.precision)
                kind = wanted[tensor.name]
            found[tensor.name] = kind
    return _compare(f"{name}: the network", found, wanted)


def check_engine_layers(information: str, name: str, wanted: Mapping[str, str]) -> int:
    """Compares what the engine inspector says of the tensors that kept their name.

    Args:
        information: the inspector's JSON, of an engine built with detailed verbosity.
        name: of the graph.
        wanted: type of each tensor.

    Returns:
        How many tensors could be compared: fused layers show their outer tensors only.

    Raises:
        BackendError: naming the tensors that differ, or for JSON that cannot be read.
    """
    try:
        layers = json.loads(information).get("Layers", [])
    except (ValueError, AttributeError) as error:
        raise BackendError(f"{name}: the engine inspector gave no JSON: {error}") from error
    found: dict[str, str] = {}
    for layer in layers:
        if isinstance(layer, dict):
            for tensor in (*layer.get("Inputs", ()), *layer.get("Outputs", ())):
                kind = _inspected(next((tensor[key] for key in _TYPE_KEYS if key in tensor), ""))
                if kind is not None and tensor.get("Name") in wanted:
                    found[tensor["Name"]] = kind
    wrong = [f"{t} {k}, not {wanted[t]}" for t, k in found.items() if k != wanted[t]]
    if wrong:
        raise BackendError(f"{name}: the engine has {'; '.join(wrong[:5])}")
    return len(found)


def _inspected(text: str) -> str | None:
    """A type in the inspector's words, as `Half` or `Row major linear FP16 format`."""
    kinds = {_INSPECTED[word] for word in text.lower().split() if word in _INSPECTED}
    return kinds.pop() if len(kinds) == 1 else None


def _low(wanted: Mapping[str, str], tensor: Any) -> bool:
    return wanted[tensor.name] != "fp32"


def _compare(place: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[int, int]:
    wrong = [f"{t} {k}, not {wanted[t]}" for t, k in found.items() if k != wanted[t]]
    if wrong:
        raise BackendError(f"{place} has {len(wrong)} tensors of another type: {wrong[:5]}")
    low = {tensor for tensor, kind in wanted.items() if kind != "fp32"}
    seen = {tensor for tensor in found if tensor in low}
    if len(seen) * 2 < len(low):
        raise BackendError(
            f"{place} shows the type of {len(seen)} of {len(low)} tensors in 16 bits; expected"
            " at least half of them to tell whether it is what was asked for"
        )
    return len(found), len(seen)
