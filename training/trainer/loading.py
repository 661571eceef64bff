# SPDX-License-Identifier: Apache-2.0
"""Which item goes where: the data position, the slices of the devices, the loading processes.

A data source is the schema of the configuration's section ``data`` and functions that build from
it a dataset whose item i, for any i >= 0, is a pure function of the seed and i, a validation set
of some length, and a batch of items. As items are pure, the position in the data is one number.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.config import AmodalConfig
from training.batch import TrainBatch, TrainClip
from training.trainer.config import BatchConfig

Batch = TrainBatch | TrainClip


@dataclass(frozen=True)
class DataSource:
    """How to read, build and batch data.

    Attributes:
        schema: Dataclass of the section ``data``.
        build: From the section, the model, a name of its base weights and a seed to the training
            data, a map-style dataset. The model is there for its frozen prefix, whose features a
            source may compute once.
        build_validation: From the section and the model to the fixed validation set, a map-style
            dataset with a length; None where the section asks for none.
        collate: From items to a batch.
    """

    schema: type
    build: Callable[[Any, AmodalModel, str, int], Dataset[Any]]
    build_validation: Callable[[Any, AmodalConfig], Dataset[Any] | None]
    collate: Callable[[Sequence[Any]], Batch]


def default_source() -> DataSource:
    """Return the source of all configurations in ``training/configs``."""
    from training.data.config import DataConfig
    from training.data.dataset import build_dataset, build_validation, collate
    from training.data.feature_cache import with_cached_features

    def build(section: Any, model: AmodalModel, base: str, seed: int) -> Dataset[Any]:
        dataset = build_dataset(section, model.config, seed)
        return with_cached_features(dataset, section, model, base, seed)

    return DataSource(DataConfig, build, build_validation, collate)


@dataclass(frozen=True)
class BatchPlan:
    """How the items of a step are spread: step s consumes items ``s * size`` and following.

    The set of items of a step does not depend on the number of devices.
    """

    size: int
    per_device: int
    world_size: int
    start_step: int = 0
    start_item: int = 0

    def __post_init__(self) -> None:
        """Check that the numbers fit each other.

        Raises:
            InvalidInputError: They do not.
        """
        if self.size % (self.per_device * self.world_size):
            raise InvalidInputError(
                f"batch.size must be a multiple of batch.per_device x devices = "
                f"{self.per_device} x {self.world_size}, got {self.size}"
            )

    @property
    def accumulation(self) -> int:
        """Micro-batches per device and step."""
        return self.size // (self.per_device * self.world_size)

    def first_item(self, step: int, micro: int, rank: int) -> int:
        """Return the index of the first item of a micro-batch."""
        first = self.start_item + (step - self.start_step) * self.size
        return first + (micro * self.world_size + rank) * self.per_device


class MicroBatches(Sampler[list[int]]):
    """The items of one device from a step on, a list of indices per micro-batch."""

    def __init__(self, plan: BatchPlan, rank: int, first_step: int, last_step: int) -> None:
        """Cover the steps ``first_step`` to ``last_step - 1``."""
        self._plan, self._rank = plan, rank
        self.accumulation = plan.accumulation
        self._steps = range(first_step, last_step)

    def __len__(self) -> int:
        return len(self._steps) * self._plan.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            for micro in range(self._plan.accumulation):
                first = self._plan.first_item(step, micro, self._rank)
                yield list(range(first, first + self._plan.per_device))


def load_steps(
    dataset: Dataset, source: DataSource, batch: BatchConfig, sampler: MicroBatches
) -> Iterator[list[Batch]]:
    """Load a device's micro-batches step by step, whatever the number of workers."""
    loader = iter(
        DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=source.collate,
            num_workers=batch.num_workers,
            prefetch_factor=batch.prefetch if batch.num_workers else None,
            worker_init_fn=_quiet_worker,
        )
    )
    while micro_batches := list(islice(loader, sampler.accumulation)):
        yield micro_batches


def _quiet_worker(worker: int) -> None:
    """Leave signals to the training process, which ends its workers, and use one core each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
