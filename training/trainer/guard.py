# SPDX-License-Identifier: Apache-2.0
"""Stops a run that has gone wrong, and keeps what it went wrong on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from amodal_ros.errors import AmodalError
from training.batch import TrainBatch
from training.trainer.config import StopConfig
from training.trainer.forward import frames_of
from training.trainer.loading import Batch

_MEMORY = 0.99  # of the running mean of the loss, per step


class TrainingDivergedError(AmodalError, RuntimeError):
    """A loss or a gradient is not finite, or the loss has run away."""


class DivergenceGuard:
    """Judges every step before the weights change."""

    def __init__(self, config: StopConfig) -> None:
        self._config = config
        self._steps = 0
        self._mean = 0.0

    def fault(self, values: Mapping[str, float]) -> str | None:
        """Return what is wrong with a step, or None; the message names term and value.

        Args:
            values: The terms of the loss, with ``loss`` itself, and norms of gradients.
        """
        for name, value in values.items():
            if not math.isfinite(value):
                return f"{name} is {value}"
        loss = values["loss"]
        if self._config.factor and self._steps >= self._config.after_steps:
            limit = self._config.factor * self._mean
            if loss > limit:
                return f"loss {loss:.4g} is over {self._config.factor:g} x its running mean"
        weight = max(1.0 - _MEMORY, 1.0 / (self._steps + 1))
        self._mean += weight * (loss - self._mean)
        self._steps += 1
        return None

    def state_dict(self) -> dict[str, float]:
        """Return what the judgement rests on."""
        return {"steps": self._steps, "mean": self._mean}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Continue to judge."""
        self._steps, self._mean = int(state["steps"]), float(state["mean"])


def save_batches(path: Path, batches: Sequence[Batch], step: int) -> list[str]:
    """Write a step's micro-batches; ``torch.load(path, weights_only=True)`` reads them.

    Returns:
        The keys of their objects.
    """
    content = [[_as_dict(frame) for frame in frames_of(batch)] for batch in batches]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"step": step, "micro_batches": content}, path)
    return [key for batch in batches for key in frames_of(batch)[0].keys]


def _as_dict(frame: TrainBatch) -> dict[str, Any]:
    moved = frame.to("cpu")
    values = {field.name: getattr(moved, field.name) for field in fields(moved)}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }
