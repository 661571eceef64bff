# SPDX-License-Identifier: Apache-2.0
"""The devices of a run: one process each, joined by Lightning Fabric.

What is trained is small, so gradients are summed once per step in one message, after all of a
step's backward passes, instead of by a wrapper around the model. Any forward pass will do: the
streaming memory of SAM 2, two models, several calls per step.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed
from lightning_fabric import Fabric

from training.trainer.config import DevicesConfig


class World:
    """The processes of a run, seen from one of them."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.rank = int(fabric.global_rank)
        self.size = int(fabric.world_size)
        self.device: torch.device = fabric.device

    @classmethod
    def launch(cls, config: DevicesConfig) -> World:
        """Start the processes, or join those that a launcher started.

        Raises:
            RuntimeError: The devices are not there.
        """
        fabric = Fabric(
            accelerator=config.accelerator,
            devices=config.devices if config.devices == "auto" else int(config.devices),
            num_nodes=config.num_nodes,
            precision=config.precision,  # type: ignore[arg-type]
            strategy="auto" if _is_single(config) else "ddp",
        )
        fabric.launch()
        if fabric.device.type == "cpu":
            keep_freed_memory()
        return cls(fabric)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of the chosen precision."""
        return self._fabric.autocast()

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over the processes."""
        if self.size == 1:
            return values
        summed = values.clone()
        torch.distributed.all_reduce(summed)
        return summed

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum the gradients over the processes; one that is missing counts as zero."""
        if self.size == 1:
            return
        parameters = list(parameters)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = self.sum(torch.cat([g.reshape(-1).float() for g in gradients]))
        start = 0
        for parameter in parameters:
            part = flat[start : start + parameter.numel()]
            parameter.grad = part.reshape(parameter.shape).to(parameter.dtype)
            start += parameter.numel()

    def gather(self, value: Any) -> list[Any]:
        """Collect a picklable value of every process, in the order of their ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(values, value)
        return values

    def broadcast(self, tensors: Sequence[torch.Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        if self.size == 1:
            return
        for tensor in tensors:
            torch.distributed.broadcast(tensor, src=0)

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """Let the main process through first, and the others when it is done."""
        if not self.is_main:
            self.barrier()
        yield
        if self.is_main:
            self.barrier()

    def barrier(self) -> None:
        """Wait for every process."""
        self._fabric.barrier()

    def close(self) -> None:
        """Leave the group of processes."""
        if self.size > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _is_single(config: DevicesConfig) -> bool:
    """Whether one process is certain; "auto" devices on CPU are one, on GPU all there are."""
    if config.num_nodes > 1:
        return False
    if config.devices != "auto":
        return int(config.devices) == 1
    on_gpu = config.accelerator != "cpu" and torch.cuda.is_available()
    return not on_gpu or torch.cuda.device_count() == 1


logger = logging.getLogger(__name__)

# From malloc.h; man 3 mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Serve large tensors from the heap, and never shrink it.

    By default glibc maps every large block from the kernel and returns it when it is freed, so
    that each activation of each step is paid for page by page. A training step allocates the same
    sizes over and over.

    Returns:
        Whether the C library has such a setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError) as error:  # musl, macOS
        logger.info("this C library keeps its own rules for freed memory: %s", error)
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
