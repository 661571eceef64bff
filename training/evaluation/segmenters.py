# SPDX-License-Identifier: Apache-2.0
"""What is evaluated: the predictor of a model, also with its adapters or M_spec switched off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amodal_ros.backends.base import Backend
from amodal_ros.inference.predictor import AmodalPredictor


@dataclass(frozen=True)
class ModelDescription:
    """What a report says about the model.

    Attributes:
        name: for people.
        kind: ``onnx`` or ``torch``.
        path: as given.
        sha256: of ``manifest.json`` (which holds the digests of all other files) or of the
            checkpoint.
        trained: whether its adapters were trained.
        adapter_gain: factor on the adapters' residual; 1 is the amodal model, 0 the base model.
        details: base weights, precision and the like.
    """

    name: str
    kind: str
    path: str
    sha256: str
    trained: bool
    adapter_gain: float
    details: Mapping[str, Any]


@dataclass(frozen=True)
class OpenedModel:
    """The node's own predictor of a model, and what a report says about it."""

    predictor: AmodalPredictor
    description: ModelDescription


def with_scaled_gain(engine: Backend, factor: float) -> Backend:
    """An engine whose graphs get every adapter gain times a factor.

    Suffix and, with adapters in it, decoder take one.
    """
    if factor == 1.0:
        return engine
    note = f"adapter gain times {factor:g}"
    return _ChangedInput(engine, "adapter_gain", lambda gain: gain * np.float32(factor), note)


def without_prior(engine: Backend) -> Backend:
    """An engine whose graphs get an empty M_spec: that of a model which was trained without."""
    return _ChangedInput(engine, "prior_masks", np.zeros_like, "without M_spec")


class _ChangedInput:
    """An engine whose graphs get one input otherwise than the predictor gives it."""

    def __init__(
        self,
        engine: Backend,
        name: str,
        changed: Callable[[NDArray[Any]], NDArray[Any]],
        note: str,
    ) -> None:
        self.name = f"{engine.name}, {note}"
        self._engine, self._input, self._changed = engine, name, changed

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run one graph of the engine; those without the input get what they were given."""
        if self._input in inputs:
            inputs = {**inputs, self._input: self._changed(inputs[self._input])}
        return self._engine.run(graph, inputs)

    def interrupt(self) -> None:
        """Ask the engine to end."""
        self._engine.interrupt()

    def close(self) -> None:
        """Free the engine."""
        self._engine.close()
