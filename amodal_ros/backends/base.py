# SPDX-License-Identifier: Apache-2.0
"""What the predictor needs of an inference engine, and the checks that every engine shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

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
            inputs: the graph's inputs by name, C-contiguous.

        Returns:
            The graph's outputs by name.

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


def _shape_text(shape: Sequence[int | str], lengths: Mapping[str, int]) -> str:
    """A shape with the values of its varying lengths, as (N=4, 256, 64, 64)."""
    parts = [
        f"{length}={lengths[length]}"
        if isinstance(length, str) and length in lengths
        else str(length)
        for length in shape
    ]
    return f"({', '.join(parts)})"
