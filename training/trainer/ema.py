# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of what is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch

from amodal_ros.errors import CheckpointError
from amodal_ros.modeling.amodal_model import AmodalModel


class WeightAverage:
    """The average of a model's trainable state, in float32.

    Early on it follows faster, min(decay, (1 + n) / (10 + n)) after n updates, so that it forgets
    the untrained start.
    """

    def __init__(self, model: AmodalModel, decay: float) -> None:
        """Start from the model as it is."""
        self._decay = decay
        self._updates = 0
        self._average = {n: t.detach().clone() for n, t in model.trainable_state().items()}

    @torch.no_grad()
    def update(self, model: AmodalModel) -> None:
        """Take in the weights after a step."""
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for name, value in model.trainable_state().items():
            if value.is_floating_point():
                self._average[name].lerp_(value, 1.0 - decay)
            else:
                self._average[name].copy_(value)
        self._updates += 1

    @torch.no_grad()
    def round(self) -> None:
        """Round the average to bfloat16 in place (``trainer/state.py``)."""
        for value in self._average.values():
            if value.is_floating_point():
                value.copy_(value.bfloat16())

    @contextlib.contextmanager
    @torch.no_grad()
    def applied(self, model: AmodalModel) -> Iterator[None]:
        """Put the average into the model, and its own weights back afterwards."""
        state = model.trainable_state()
        own = {name: value.detach().clone() for name, value in state.items()}
        try:
            for name, value in state.items():
                value.copy_(self._average[name])
            yield
        finally:
            for name, value in state.items():
                value.copy_(own[name])

    def state_dict(self) -> dict[str, object]:
        """Return tensors and numbers alone."""
        return {"updates": self._updates, "average": dict(self._average)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continue an average.

        Raises:
            CheckpointError: It is of other weights.
        """
        average, updates = state.get("average"), state.get("updates")
        if not isinstance(average, dict) or not isinstance(updates, int):
            raise CheckpointError(f"expected a weight average, got keys {sorted(state)}")
        if average.keys() != self._average.keys():
            raise CheckpointError("the weight average is of other weights than the model's")
        for name, value in average.items():
            self._average[name].copy_(value)
        self._updates = updates
