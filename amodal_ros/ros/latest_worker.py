# SPDX-License-Identifier: Apache-2.0
"""A thread that works on the newest item and never on a backlog."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class LatestWorker(Generic[ItemT]):
    """Handles the newest submitted item in a thread of its own; older ones are superseded.

    Nothing that ``handle`` raises ends the thread: ``on_error`` gets it and the next item is
    taken.
    """

    def __init__(
        self,
        handle: Callable[[ItemT], None],
        on_superseded: Callable[[ItemT], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._handle = handle
        self._on_superseded = on_superseded
        self._on_error = on_error
        self._condition = threading.Condition()
        self._waiting: ItemT | None = None
        self._stopping = False
        self._idle_since_s: float | None = monotonic()
        self._thread = threading.Thread(target=self._run, name="amodal_worker", daemon=True)
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called: a long ``handle`` may look and leave early."""
        return self._stopping

    @property
    def idle_since_s(self) -> float | None:
        """Monotonic time since when there is nothing to do; None: an item is in work."""
        return self._idle_since_s

    def submit(self, item: ItemT) -> None:
        """Let the thread work on ``item`` next, instead of the waiting one; no-op once stopped."""
        with self._condition:
            if self._stopping:
                return
            superseded, self._waiting = self._waiting, item
            self._condition.notify()
        if superseded is not None:
            self._on_superseded(superseded)

    def stop(self, timeout_s: float | None = None) -> bool:
        """End the thread after the item in work; the waiting one is forgotten.

        Returns:
            Whether the thread has ended within the time-out.
        """
        with self._condition:
            self._stopping, self._waiting = True, None
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._handle(item)
            except Exception as error:  # whatever one frame does, the next one is answered
                self._on_error(error)
            del item

    def _next(self) -> ItemT | None:
        with self._condition:
            if self._waiting is None:
                self._idle_since_s = monotonic()
            while self._waiting is None and not self._stopping:
                self._condition.wait()
            self._idle_since_s = None
            item, self._waiting = self._waiting, None
            return item
