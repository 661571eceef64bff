# SPDX-License-Identifier: Apache-2.0
"""Threads that work on the newest item and never on a backlog."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

# Weight of the newest item in the mean times.
_NEWEST = 0.25

ItemT = TypeVar("ItemT")
PreparedT = TypeVar("PreparedT")


class LatestWorker(Generic[ItemT, PreparedT]):
    """Prepares and handles the newest submitted item in threads of its own, in order.

    An item that waits is superseded by a newer one. While one item is handled, the next may be
    prepared, if ``ahead`` says so; it then keeps its place, and newer ones wait behind it. So that
    it is as new as can be, it is taken only when its preparation is expected to end together with
    the handling, as long as both took of late.

    Nothing that ``prepare`` or ``handle`` raises ends a thread: ``on_error`` gets it when it is
    the item's turn, and the next item is taken.

    Args:
        prepare: needs nothing of the items before.
        handle: gets what was prepared, one item at a time in the order in which they were taken.
        on_superseded: gets an item that will not be handled.
        on_error: gets what an item's ``prepare`` or ``handle`` raised.
        ahead: whether an item is to be prepared while the one before is handled; asked under a
            lock, must return at once.
    """

    def __init__(
        self,
        prepare: Callable[[ItemT], PreparedT],
        handle: Callable[[PreparedT], None],
        on_superseded: Callable[[ItemT], None],
        on_error: Callable[[Exception], None],
        ahead: Callable[[], bool] = lambda: False,
    ) -> None:
        self._prepare = prepare
        self._handle = handle
        self._on_superseded = on_superseded
        self._on_error = on_error
        self._ahead = ahead
        self._condition = threading.Condition()
        self._waiting: ItemT | None = None
        self._stopping = False
        self._idle_since_s: float | None = monotonic()
        self._taken = 0  # items so far
        self._done = 0  # of them; the next one's turn is when all before it are done
        self._handling_since_s: float | None = None
        self._prepare_s = self._handle_s = 0.0  # means
        self._threads = [
            threading.Thread(target=self._run, name=f"amodal_worker_{number}", daemon=True)
            for number in range(2)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def idle_since_s(self) -> float | None:
        """Monotonic time since when there is nothing to do; None: an item is in work."""
        return self._idle_since_s

    def submit(self, item: ItemT) -> None:
        """Work on ``item`` next, instead of the waiting one; no-op once stopped."""
        with self._condition:
            if self._stopping:
                return
            superseded, self._waiting = self._waiting, item
            self._condition.notify_all()
        if superseded is not None:
            self._on_superseded(superseded)

    def stop(self, timeout_s: float | None = None) -> bool:
        """End the threads after the items in work; the waiting one is forgotten.

        Returns:
            Whether the threads have ended within the time-out.
        """
        with self._condition:
            self._stopping, self._waiting = True, None
            self._condition.notify_all()
        deadline_s = None if timeout_s is None else monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if deadline_s is None else max(deadline_s - monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            try:
                self._work(*taken)
            finally:
                del taken  # or it would be kept until there is another one
                self._finish()

    def _work(self, number: int, item: ItemT) -> None:
        try:
            since_s = monotonic()
            prepared = self._prepare(item)
            self._prepare_s = _mean(self._prepare_s, monotonic() - since_s)
            self._await_turn(number)
            since_s = self._begin_handling()
            self._handle(prepared)
            self._handle_s = _mean(self._handle_s, monotonic() - since_s)
        except Exception as error:  # whatever one frame does, the next one is answered
            self._await_turn(number)
            self._on_error(error)

    def _next(self) -> tuple[int, ItemT] | None:
        with self._condition:
            while not self._stopping:
                delay_s = None if self._waiting is None else self._delay_s()
                if delay_s is not None and delay_s <= 0.0:
                    break
                self._condition.wait(delay_s)
            if self._waiting is None:
                return None
            item, self._waiting = self._waiting, None
            self._idle_since_s = None
            self._taken += 1
            return self._taken - 1, item

    def _delay_s(self) -> float | None:
        """Seconds until the waiting item is to be taken; None: not before something changes."""
        in_work = self._taken - self._done
        if in_work == 0:
            return 0.0
        if in_work > 1 or self._handling_since_s is None or not self._ahead():
            return None
        return self._handling_since_s + self._handle_s - self._prepare_s - monotonic()

    def _begin_handling(self) -> float:
        with self._condition:
            self._handling_since_s = monotonic()
            self._condition.notify_all()
            return self._handling_since_s

    def _await_turn(self, number: int) -> None:
        with self._condition:
            while self._done < number:
                self._condition.wait()

    def _finish(self) -> None:
        with self._condition:
            self._done += 1
            self._handling_since_s = None
            if self._done == self._taken and self._waiting is None:
                self._idle_since_s = monotonic()
            self._condition.notify_all()


def _mean(mean_s: float, newest_s: float) -> float:
    """A moving mean; the first value is taken as it is."""
    return newest_s if mean_s == 0.0 else mean_s + _NEWEST * (newest_s - mean_s)
