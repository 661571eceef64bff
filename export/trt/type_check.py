# SPDX-License-Identifier: Apache-2.0
"""Are the types that TensorRT works in those that were asked for?

With a flag instead of types in the graph, an engine asked for in float16 came out in float32
without a word (TensorRT 11). What is compared here is each tensor by its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from amodal_ros.errors import BackendError

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
