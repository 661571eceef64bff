# SPDX-License-Identifier: Apache-2.0
"""A training state small enough to keep with the source, from which a run goes on exactly.

Adam's moments and the average of the weights are three quarters of a state. Every
``checkpoint.round_every`` steps a run rounds them, in place, to what bfloat16 can hold; a state of
such a step loses nothing by being written so, and whoever goes on from it computes what the run
itself goes on to compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from amodal_ros.errors import CheckpointError
from amodal_ros.files import whole_file
from training.trainer.state import TrainState

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

    Args:
        path: The file.
        state: From :meth:`TrainState.to_dict` or a checkpoint.

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
