# SPDX-License-Identifier: Apache-2.0
"""Rate and latency over the last seconds: what the diagnostics tell of a camera."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

WINDOW_S = 10.0
_INTERVALS = 20  # images whose intervals count
_LEAST_IMAGES = 5


@dataclass(frozen=True)
class StatisticsSummary:
    """The last ``WINDOW_S`` seconds, or fewer after a start.

    Attributes:
        image_hz: images received each second.
        answer_hz: images answered each second.
        latency_ms: 50th, 90th and 99th percentile from reception of an image to its masks'
            publication, in milliseconds; None: nothing was answered.
        stamp_latency_ms: likewise from the image's stamp, by the node's clock.
        image_age_s: seconds since the last image came; None: none has come.
    """

    image_hz: float
    answer_hz: float
    latency_ms: tuple[float, float, float] | None
    stamp_latency_ms: tuple[float, float, float] | None
    image_age_s: float | None


class FrameStatistics:
    """Counts images and answers in a sliding window. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._started_s = clock()
        self._last_image_s: float | None = None
        self._images: deque[float] = deque()
        self._answers: deque[tuple[float, float, float]] = deque()

    def image_came(self) -> None:
        """An image was received."""
        with self._lock:
            self._last_image_s = self._clock()
            self._images.append(self._last_image_s)
            self._forget()

    def interval_s(self) -> float:
        """Median time from one image to the next, of the newest ones; 0: too few have come."""
        with self._lock:
            newest = list(self._images)[-_INTERVALS:]
        return float(np.median(np.diff(newest))) if len(newest) >= _LEAST_IMAGES else 0.0

    def answered(self, latency_ms: float, stamp_latency_ms: float) -> None:
        """An image was answered, so many milliseconds after its reception and after its stamp."""
        with self._lock:
            self._answers.append((self._clock(), latency_ms, stamp_latency_ms))
            self._forget()

    def summary(self) -> StatisticsSummary:
        """The state of the window now."""
        with self._lock:
            self._forget()
            now_s = self._clock()
            window_s = min(WINDOW_S, max(now_s - self._started_s, 1e-3))
            times = np.array(self._answers).reshape(-1, 3)
            return StatisticsSummary(
                image_hz=len(self._images) / window_s,
                answer_hz=len(self._answers) / window_s,
                latency_ms=_percentiles(times[:, 1]),
                stamp_latency_ms=_percentiles(times[:, 2]),
                image_age_s=None if self._last_image_s is None else now_s - self._last_image_s,
            )

    def _forget(self) -> None:
        oldest_s = self._clock() - WINDOW_S
        while self._images and self._images[0] < oldest_s:
            self._images.popleft()
        while self._answers and self._answers[0][0] < oldest_s:
            self._answers.popleft()


def _percentiles(values: np.ndarray) -> tuple[float, float, float] | None:
    if not len(values):
        return None
    p50, p90, p99 = np.percentile(values, (50, 90, 99)).tolist()
    return p50, p90, p99
