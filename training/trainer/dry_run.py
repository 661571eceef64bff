# SPDX-License-Identifier: Apache-2.0
"""A few steps, to know before a long run what it needs."""

from __future__ import annotations

import logging
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training.trainer.build import Run, build_run
from training.trainer.loading import DataSource
from training.trainer.loop import Trainer
from training.trainer.phases import Phase
from training.trainer.records import duration
from training.trainer.run_folder import RunFolder
from training.trainer.world import World

logger = logging.getLogger(__name__)

_WARM_UP, _MEASURED = 1, 4


@dataclass(frozen=True)
class StepCost:
    """What a step needs.

    Attributes:
        data_s: Median seconds spent waiting for data.
        compute_s: Median seconds of forward, backward and update.
        memory_gib: Peak: of the GPU, or of the process (with its workers apart) on a CPU.
        trained: Parameters that are trained.
        frozen: Parameters that are not.
    """

    data_s: float
    compute_s: float
    memory_gib: float
    trained: int
    frozen: int


def measure_steps(run: Run, warm_up: int = _WARM_UP, measured: int = _MEASURED) -> StepCost:
    """Do some steps and measure them; the run's state is changed."""
    count, first = warm_up + measured, run.span.first_step
    run.state.step = first
    steps = run.load_steps(first, first + count)
    data, compute = [], []
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(run, RunFolder(Path(scratch)))
        for _ in range(count):
            start = time.perf_counter()
            batches = next(steps)
            loaded = time.perf_counter()
            trainer.step(batches)
            _wait(run.world.device)
            data.append(loaded - start)
            compute.append(time.perf_counter() - loaded)
    parameters = list(run.state.model.parameters())
    return StepCost(
        statistics.median(data[warm_up:]),
        statistics.median(compute[warm_up:]),
        _peak_gib(run.world.device),
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(p.numel() for p in parameters if not p.requires_grad),
    )


def dry_run_phases(
    phases: Sequence[Phase], source: DataSource, world: World, folder: RunFolder
) -> None:
    """Measure some steps of every phase, each from untrained adapters."""
    for phase in phases:
        dry_run(build_run(phase, source, world), folder)


def dry_run(run: Run, folder: RunFolder) -> StepCost:
    """Measure some steps and say what the whole run will need; nothing is written."""
    cost = measure_steps(run)
    step_s = cost.data_s + cost.compute_s
    steps, size = run.config.steps, run.plan.size
    if run.world.is_main:
        logger.info(
            "%s: %.2f M parameters trained, %.2f M frozen; %d steps of %d items "
            "(%d x %d on each of %d devices)",
            folder.path,
            cost.trained / 1e6,
            cost.frozen / 1e6,
            steps,
            size,
            run.plan.accumulation,
            run.plan.per_device,
            run.plan.world_size,
        )
        logger.info(
            "%.3f s per step (%.3f s of it waiting for data), %.2f items/s, peak memory %.2f GiB, "
            "%s for the run",
            step_s,
            cost.data_s,
            size / step_s,
            cost.memory_gib,
            duration(step_s * steps),
        )
    return cost


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
