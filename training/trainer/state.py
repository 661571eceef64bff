# SPDX-License-Identifier: Apache-2.0
"""All that a run consists of between two steps, as one dict, and back.

There are no random states in it: what is random in a step is seeded from the run's seed and the
index of its items (:mod:`training.trainer.step`), items are pure functions of seed and index, and
rates are functions of the step. The number of steps done is the position in the data.

A state can be kept with the source, small, and a run goes on from it exactly. Adam's moments and
the average of the weights are three quarters of a state. Every ``checkpoint.round_every`` steps a
run rounds them, in place, to what bfloat16 can hold; a state of such a step loses nothing by being
written so, and whoever goes on from it computes what the run itself goes on to compute.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from amodal_ros.errors import CheckpointError
from amodal_ros.files import whole_file
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.base_weights import BaseIdentity
from training.losses.adversarial import Discriminator
from training.trainer.guard import DivergenceGuard


class WeightAverage:
    """The average of a model's trainable state, in float32.

    Early on it follows faster, min(decay, (1 + n) / (10 + n)) after n updates, so that it forgets
    the untrained start.
    """

    def __init__(self, model: AmodalModel, decay: float) -> None:
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
        """Round the average to bfloat16 in place."""
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


FORMAT = "amodal_ros.training_state"
FORMAT_VERSION = 1


@dataclass(eq=False)
class TrainState:
    """What changes while training.

    Attributes:
        model: Its trainable part changes.
        base: Weights that the model stands on.
        optimiser: The model's.
        discriminator: None where L_hol is off.
        discriminator_optimiser: None where L_hol is off.
        average: None where there is no average.
        guard: Watches the loss.
        step: Steps done.
    """

    model: AmodalModel
    base: BaseIdentity
    optimiser: torch.optim.Optimizer
    discriminator: Discriminator | None
    discriminator_optimiser: torch.optim.Optimizer | None
    average: WeightAverage | None
    guard: DivergenceGuard
    step: int = 0

    def parts(self) -> dict[str, Any]:
        """Return the parts that have a state of their own and exist in this run."""
        named = {
            "optimiser": self.optimiser,
            "discriminator": self.discriminator,
            "discriminator_optimiser": self.discriminator_optimiser,
            "average": self.average,
            "guard": self.guard,
        }
        return {name: part for name, part in named.items() if part is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return tensors, numbers and strings alone."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "step": self.step,
            "base": self.base.state_sha256,
            "model": self.model.trainable_state(),
            **{name: part.state_dict() for name, part in self.parts().items()},
        }

    def load_dict(self, values: Mapping[str, Any]) -> None:
        """Continue from what :meth:`to_dict` returned.

        Raises:
            CheckpointError: It is of another format, other base weights, or another kind of run.
        """
        found = (values.get("format"), values.get("format_version"))
        if found != (FORMAT, FORMAT_VERSION):
            raise CheckpointError(
                f"expected a training state of format {(FORMAT, FORMAT_VERSION)}, got {found}"
            )
        if values["base"] != self.base.state_sha256:
            raise CheckpointError(
                f"the training state was made on base weights {values['base'][:12]}, but the "
                f"model stands on {self.base}"
            )
        expected = {"format", "format_version", "step", "base", "model", *self.parts()}
        if expected != set(values):
            raise CheckpointError(
                f"the training state holds {sorted(values)}, this run needs {sorted(expected)}"
            )
        self._load_model(values["model"])
        for name, part in self.parts().items():
            try:
                part.load_state_dict(values[name])
            except (RuntimeError, ValueError, KeyError) as error:
                raise CheckpointError(
                    f"{name} does not fit the training state: {error}"
                ) from error
        self.step = int(values["step"])

    def _load_model(self, saved: Mapping[str, torch.Tensor]) -> None:
        own = self.model.trainable_state()
        wrong = {
            name
            for name in own.keys() | saved.keys()
            if name not in own or name not in saved or own[name].shape != saved[name].shape
        }
        if wrong:
            raise CheckpointError(
                f"the model's weights do not fit the training state: {sorted(wrong)[:3]}"
            )
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(saved[name])


_MOMENTS = ("exp_avg", "exp_avg_sq")


@torch.no_grad()
def round_state(state: TrainState) -> None:
    """Round moments and average to bfloat16, in place; the weights stay as they are."""
    for moments in state.optimiser.state.values():
        for name in _MOMENTS:
            moments[name].copy_(moments[name].bfloat16())
    if state.average is not None:
        state.average.round()


def write_kept(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state of a step after which it was rounded.

    Raises:
        CheckpointError: It was not rounded: it would not come back as it is.
    """
    if "discriminator" in state:
        raise CheckpointError("a kept state has no discriminator; this run trains one")
    optimiser, average = dict(state["optimiser"]), state.get("average")
    optimiser["state"] = {
        key: {n: _short(t) if n in _MOMENTS else t for n, t in moments.items()}
        for key, moments in optimiser["state"].items()
    }
    small = {**state, "optimiser": optimiser}
    if average is not None:
        short = {name: _short(value) for name, value in average["average"].items()}
        small["average"] = {**average, "average": short}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        torch.save(small, partial)


def _short(value: torch.Tensor) -> torch.Tensor:
    if not value.is_floating_point():
        return value
    short = value.to(torch.bfloat16)
    if not torch.equal(short.to(value.dtype), value):
        raise CheckpointError(
            "expected a state of a step that checkpoint.round_every divides, got one whose "
            "moments or average bfloat16 cannot hold"
        )
    return short.contiguous()
