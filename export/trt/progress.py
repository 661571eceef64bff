# SPDX-License-Identifier: Apache-2.0
"""How far a build is: TensorRT's own phases as bars, where there is a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress_monitor(trt: Any, name: str, show: bool) -> Iterator[Any]:
    """A monitor to give to a builder's configuration; None: TensorRT has none (8.6), or not asked.

    Args:
        trt: the library's module.
        name: what is built.
        show: draw bars.
    """
    if not show or not hasattr(trt, "IProgressMonitor"):
        yield None
        return
    from rich.progress import Progress, TaskID

    with Progress(transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        class Monitor(trt.IProgressMonitor):
            """Called by TensorRT from threads of its own; rich is made for that."""

            def __init__(self) -> None:
                trt.IProgressMonitor.__init__(self)

            def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
                indent = "  " if parent else ""
                tasks[phase] = bars.add_task(f"{name}: {indent}{phase}", total=steps)

            def step_complete(self, phase: str, step: int) -> bool:
                bars.update(tasks[phase], completed=step + 1)
                return True  # go on

            def phase_finish(self, phase: str) -> None:
                bars.remove_task(tasks.pop(phase))

        yield Monitor()
