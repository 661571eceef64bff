# SPDX-License-Identifier: Apache-2.0
"""Shapes and sizes of a graph's tensors in an engine: pure arithmetic, no GPU."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from amodal_ros.backends.base import RowRuns, check_tensors
from amodal_ros.backends.tensorrt.tensors import DeviceTensor
from amodal_ros.errors import BackendError
from amodal_ros.model_folder.manifest import GraphSpec, TensorSpec

POINTS = "P"  # the manifest's name of the number of points; other free lengths count rows
# CUDA graphs kept per engine: eight numbers of objects, in each of the few buffers that what the
# graph before computed lies in by turns.
MAX_CUDA_GRAPHS = 64


@dataclass(frozen=True)
class GraphPlan:
    """What an engine's buffers must hold, and what one call needs of them."""

    name: str
    spec: GraphSpec
    max_batch: int
    max_points: int

    def buffer_bytes(self, tensor: TensorSpec) -> int:
        """Size of a tensor with all its free lengths at their greatest."""
        lengths = [
            length if isinstance(length, int) else self._greatest(length)
            for length in tensor.shape
        ]
        return int(np.prod(lengths, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize

    def shapes(self, inputs: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """Shapes of all inputs and outputs for one call.

        Args:
            inputs: arrays, or tensors on the GPU.

        Raises:
            BackendError: when they do not match the manifest, or are more than the engine takes.
        """
        lengths: dict[str, int] = {}
        stand_ins = {name: _stand_in(value) for name, value in inputs.items()}
        check_tensors(f"{self.name} input", self.spec.inputs, stand_ins, lengths)
        for name, length in lengths.items():
            if not 1 <= length <= self._greatest(name):
                what, remedy = self._meaning(name)
                raise BackendError(
                    f"{self.name}: the engine takes 1 to {self._greatest(name)} {what}, got"
                    f" {length}; {remedy}"
                )
        return {
            tensor.name: tuple(
                lengths[length] if isinstance(length, str) else length for length in tensor.shape
            )
            for tensor in (*self.spec.inputs, *self.spec.outputs)
        }

    def _meaning(self, length: str) -> tuple[str, str]:
        """What a length counts, and what to do when there is more of it."""
        if length in self.spec.greatest:
            return f"of {length}", "the model looks at no more"
        what, option = ("points", "points") if length == POINTS else ("rows", "batch")
        return what, f"for more, build it with --max-{option}"

    def _greatest(self, length: str) -> int:
        usual = self.max_points if length == POINTS else self.max_batch
        return self.spec.greatest.get(length, usual)


class GraphCache:
    """Which CUDA graphs there are: each for one set of shapes and addresses; the oldest go."""

    def __init__(self) -> None:
        self._graphs: dict[Hashable, int] = {}
        self._seen: dict[Hashable, None] = {}

    def get(self, key: Hashable) -> int | None:
        """The graph, which is then the newest."""
        if key not in self._graphs:
            return None
        self._graphs[key] = self._graphs.pop(key)
        return self._graphs[key]

    def worth_capturing(self, key: Hashable) -> bool:
        """Whether a key comes for the second time: TensorRT prepares for new shapes at the first.

        A camera's frames repeat their shapes; capturing what comes once would cost more.
        """
        seen = key in self._seen
        self._seen.pop(key, None)
        self._seen[key] = None
        while len(self._seen) > 4 * MAX_CUDA_GRAPHS:
            del self._seen[next(iter(self._seen))]
        return seen

    def add(self, key: Hashable, graph: int) -> list[int]:
        """Keeps a graph; returns those that are to be destroyed for it."""
        self._graphs[key] = graph
        surplus = list(self._graphs)[: max(len(self._graphs) - MAX_CUDA_GRAPHS, 0)]
        return [self._graphs.pop(old) for old in surplus]

    def clear(self) -> list[int]:
        """Forgets all graphs and returns them."""
        graphs = list(self._graphs.values())
        self._graphs.clear()
        return graphs


def _stand_in(value: Any) -> Any:
    """An array with the dtype and shape of a GPU's tensor or rows, and no memory to speak of."""
    if isinstance(value, (DeviceTensor, RowRuns)):
        return np.broadcast_to(np.empty((), value.dtype), value.shape)
    return value
