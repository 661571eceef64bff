# SPDX-License-Identifier: Apache-2.0
"""Adds up the time spent in named steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Milliseconds spent in each of a fixed set of steps; a step can be entered many times.

    Args:
        steps: their names; each starts at 0.

    >>> watch = Stopwatch("prefix", "suffix")
    >>> with watch.measure("prefix"):
    ...     pass
    >>> watch.timings_ms["suffix"]
    0.0
    """

    def __init__(self, *steps: str) -> None:
        self.timings_ms: dict[str, float] = dict.fromkeys(steps, 0.0)

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Adds the time spent in the `with` block to `step`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings_ms[step] += (time.perf_counter() - start) * 1e3
