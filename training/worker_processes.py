# SPDX-License-Identifier: Apache-2.0
"""Work in other processes: in some that end with the one that started them, and other commands.

Training does not import the export or the benchmarks, and MuJoCo's renderer cannot live in one
process with torch.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing.process import BaseProcess
from typing import TypeVar

from amodal_ros.errors import BackendError, InvalidInputError

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    prepare: Callable[[], None] | None = None,
    in_order: bool = False,
) -> Iterator[Result]:
    """Results of all tasks, as they are finished.

    Always in processes of their own, never forked: OSMesa and torch's triton each bring an LLVM,
    and a process that loads both dies. One process draws with one thread.

    Args:
        work: a function at the top level of a module, or a `partial` of one.
        tasks: what it is called with.
        workers: processes at most.
        prepare: called once in each process before its first task.
        in_order: give the results in the order of the tasks.
    """
    if not tasks:
        return
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=partial(_start, prepare),
    )
    try:
        futures = [pool.submit(work, task) for task in tasks]
        for future in futures if in_order else as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(prepare: Callable[[], None] | None) -> None:
    end_with_parent()
    draw_without_screen()
    if prepare is not None:
        prepare()


def draw_without_screen() -> None:
    """Have MuJoCo draw with OSMesa, in one thread; to be called before it is first imported."""
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("LP_NUM_THREADS", "1")


_DRAWS = "import mujoco; c = mujoco.GLContext(8, 8); c.make_current(); c.free()"


@functools.cache
def check_drawing() -> None:
    """Try MuJoCo before anything is written, in a process of its own, which may die of it.

    Raises:
        BackendError: MuJoCo cannot draw on this machine; says why, and what to install.
    """
    platform = os.environ.get("MUJOCO_GL") or "osmesa"
    command = [sys.executable, "-c", _DRAWS]
    environ = {**os.environ, "MUJOCO_GL": platform}
    try:
        probe = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        why = "it did not come to an end"
    else:
        if not probe.returncode:
            return
        why = (probe.stderr.strip().splitlines() or [f"it ended with {probe.returncode}"])[-1]
    raise BackendError(
        f"MuJoCo cannot draw with MUJOCO_GL={platform} ({why.strip()}); "
        "`python3 -m scripts.bootstrap test` sets up a platform that draws, and so do "
        "`apt install libosmesa6` or, where the machine has EGL, MUJOCO_GL=egl"
    )


def end_with_parent() -> None:
    """Follow the parent into its end; an initialiser of a pool's workers.

    A pool shuts its workers down in an orderly end alone. After a kill they would work through
    what they were sent already, and then wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def run_command(module: str, *arguments: str) -> None:
    """Run ``python -m module``; what it logs is seen, what it prints is not.

    Raises:
        InvalidInputError: it failed; its message is on standard error.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise InvalidInputError(f"python -m {module} failed ({done.returncode}), see above")
