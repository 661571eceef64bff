# SPDX-License-Identifier: Apache-2.0
"""What the predictor needs of an inference engine, and the checks that every engine shares.

Rows of a tensor that lie in several places are joined where they are needed and no earlier. What
an engine computed in several calls may lie on a GPU. There the next graph takes it as it is:
joined by numpy it would be copied to the host and back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from amodal_ros.checks import describe
from amodal_ros.errors import BackendError
from amodal_ros.model_folder.manifest import TensorSpec


class Backend(Protocol):
    """An engine for the graphs of one model folder; several threads may call `run` at once."""

    @property
    def name(self) -> str:
        """What runs where, for logs and diagnostics."""

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one graph.

        Args:
            graph: `prefix`, `suffix` or `decoder`.
            inputs: the graph's inputs by name, C-contiguous. They are read before it returns: the
                caller may write into them then.

        Returns:
            The graph's outputs by name, none of which shares memory with an input.

        Raises:
            BackendError: when inputs or outputs do not match the manifest, the engine fails, or
                `interrupt` was called.
        """

    def interrupt(self) -> None:
        """Asks the engine to end, for a process that must end: thread-safe, returns at once.

        Where the engine can be stopped, a `run` in progress soon raises BackendError
        ("interrupted"), and every later one at once; elsewhere nothing happens.
        """

    def close(self) -> None:
        """Frees the engine; afterwards `run` raises BackendError. Can be called twice."""


def check_tensors(
    place: str,
    specs: Sequence[TensorSpec],
    tensors: Mapping[str, np.ndarray],
    lengths: dict[str, int],
) -> None:
    """Checks the tensors that go into or come out of a graph against the manifest.

    Args:
        place: what to call them in messages, as `decoder input`.
        specs: what the manifest says.
        tensors: what goes in or came out.
        lengths: what the varying lengths are so far; those met here for the first time are added.

    Raises:
        BackendError: naming the tensor, what was expected and what came.
    """
    names = [spec.name for spec in specs]
    if sorted(names) != sorted(tensors):
        raise BackendError(f"{place}: expected {sorted(names)}, got {sorted(tensors)}")
    for spec in specs:
        tensor = tensors[spec.name]
        if not isinstance(tensor, np.ndarray) or tensor.dtype != np.dtype(spec.dtype):
            raise BackendError(
                f"{place} {spec.name}: expected {spec.dtype}, got {describe(tensor)}"
            )
        if tensor.ndim == len(spec.shape):
            for length, size in zip(spec.shape, tensor.shape, strict=True):
                if isinstance(length, str):
                    lengths.setdefault(length, size)
        wanted = tuple(
            lengths.get(length) if isinstance(length, str) else length for length in spec.shape
        )
        if tensor.shape != wanted:
            raise BackendError(
                f"{place} {spec.name}: expected shape {_shape_text(spec.shape, lengths)},"
                f" got {tensor.shape}"
            )


@dataclass(frozen=True)
class FoundTensor:
    """What a graph file says of an input or output.

    Attributes:
        names: it may have several.
        dtype: as numpy names it, or else as the engine does.
        shape: None: a length that varies.
    """

    names: frozenset[str]
    dtype: str
    shape: tuple[int | None, ...]


def check_graph_tensors(
    place: str, found: Sequence[FoundTensor], specs: Sequence[TensorSpec], *, vague: bool
) -> None:
    """Checks names, types and shapes in a graph file against the manifest.

    Args:
        place: what to call them in messages, as `decoder.onnx: input`.
        found: what the file says.
        specs: what the manifest says.
        vague: the file may leave open what the manifest fixes. Shape inference does not always
            reach the outputs; `run` checks them on the real arrays.

    Raises:
        BackendError: naming the tensor and both descriptions.
    """
    by_name = {name: tensor for tensor in found for name in tensor.names}
    wanted = [spec.name for spec in specs]
    if len(found) != len(wanted) or not all(name in by_name for name in wanted):
        names = sorted(min(tensor.names, default="") for tensor in found)
        raise BackendError(f"{place}s: the manifest says {sorted(wanted)}, the file has {names}")
    for spec in specs:
        tensor = by_name[spec.name]
        if tensor.dtype != spec.dtype or not _same_shape(tensor.shape, spec.shape, vague):
            shape = ["?" if length is None else length for length in tensor.shape]
            raise BackendError(
                f"{place} {spec.name}: the manifest says {spec.dtype} {list(spec.shape)},"
                f" the file has {tensor.dtype} {shape}"
            )


def _same_shape(found: Sequence[int | None], wanted: Sequence[int | str], vague: bool) -> bool:
    """Whether fixed lengths are equal and varying ones vary."""
    if len(found) != len(wanted):
        return False
    for have, want in zip(found, wanted, strict=True):
        if (have is None) != isinstance(want, str) and not (have is None and vague):
            return False
        if have is not None and have != want:
            return False
    return True


def _shape_text(shape: Sequence[int | str], lengths: Mapping[str, int]) -> str:
    """A shape with the values of its varying lengths, as (N=4, 256, 64, 64)."""
    parts = [
        f"{length}={lengths[length]}"
        if isinstance(length, str) and length in lengths
        else str(length)
        for length in shape
    ]
    return f"({', '.join(parts)})"


Rows = Any  # an array, or what an engine gives in its place: a tensor on the GPU


class RowRuns:
    """Some tensors that differ in their number of rows alone, one after another.

    Args:
        parts: at least one, of equal dtype and row shape.
    """

    def __init__(self, parts: Sequence[Rows]) -> None:
        runs = [part.parts if isinstance(part, RowRuns) else (part,) for part in parts]
        self.parts: tuple[Rows, ...] = tuple(part for run in runs for part in run)
        self.dtype: np.dtype[Any] = self.parts[0].dtype
        self.shape: tuple[int, ...] = (sum(map(len, self.parts)), *self.parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Rows:
        """A run of rows stays where it lies, in one part or several; else it becomes an array."""
        if not isinstance(key, slice) or key.indices(len(self))[2] != 1:
            return np.asarray(self)[key]
        start, stop, _ = key.indices(len(self))
        found, first = [], 0
        for part in self.parts:
            low, high = max(start - first, 0), min(stop - first, len(part))
            if low < high:
                found.append(part[low:high])
            first += len(part)
        if not found:
            return np.asarray(self)[key]
        return found[0] if len(found) == 1 else RowRuns(found)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Joins them on the host."""
        if copy is False:
            raise ValueError("rows of several places cannot become an array without a copy")
        values = np.concatenate([np.asarray(part) for part in self.parts])
        return values if dtype is None else values.astype(dtype, copy=False)


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows one after another: a single part as it is, arrays as an array, others as `RowRuns`."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return RowRuns(parts)
