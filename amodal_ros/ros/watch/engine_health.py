# SPDX-License-Identifier: Apache-2.0
"""Decides when an engine that fails is only unlucky, and when it is broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from amodal_ros.ros.watch.faults import Fault, FaultLog

# A camera at 30 Hz reaches the number in a fifth of a second, which a moment of full memory may
# last; a slow one needs more than the time for the number.
FAILURES_IN_A_ROW = 5
FAILING_FOR_S = 2.0


class EngineHealth:
    """Counts frames that the engine lost; after too many in a row it gives up, once.

    Thread-safe: the worker tells, the node's executor asks.

    Args:
        faults: each lost frame is counted there; giving up is an alarm.
        on_broken: called in the worker's thread when the engine is given up.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        faults: FaultLog,
        on_broken: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._faults = faults
        self._on_broken = on_broken
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._since_s = 0.0
        self._broken = False

    @property
    def broken(self) -> bool:
        """Whether the engine was given up."""
        return self._broken

    def answered(self) -> None:
        """A frame was answered."""
        with self._lock:
            self._failures = 0

    def failed(self, error: Exception) -> None:
        """A frame was lost by an error."""
        cause = f"{type(error).__name__}: {error}"
        self._faults.report(Fault.ENGINE, f"frame lost: {cause}")
        with self._lock:
            now_s = self._clock()
            if self._failures == 0:
                self._since_s = now_s
            self._failures += 1
            failing_for_s = now_s - self._since_s
            enough = self._failures >= FAILURES_IN_A_ROW and failing_for_s >= FAILING_FOR_S
            if self._broken or not enough:
                return
            self._broken = True
        self._faults.alarm(
            Fault.ENGINE_GAVE_UP,
            f"the engine failed on {self._failures} frames in a row within {failing_for_s:.1f} s, "
            f"last: {cause}. The node becomes inactive; activate it to try again, or clean it up "
            "and configure it to load the model anew",
        )
        self._on_broken()
