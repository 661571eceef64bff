# SPDX-License-Identifier: Apache-2.0
"""What goes wrong: counted always, told in the log now and then; what lasts is an alarm."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum


class Fault(str, Enum):
    """Every way to lose a frame, a message or an object; the value names its counter."""

    UNSTAMPED = "dropped_unstamped"
    DUPLICATE = "dropped_duplicate"
    OUT_OF_ORDER = "dropped_out_of_order"
    IMAGE_WITHOUT_DETECTIONS = "dropped_image_without_detections"
    DETECTIONS_WITHOUT_IMAGE = "dropped_detections_without_image"
    SUPERSEDED = "dropped_superseded"
    BAD_IMAGE = "dropped_bad_image"
    ENGINE = "dropped_engine_error"
    TIME_JUMP = "time_jumps"
    CLOCK_JUMP = "clock_jumps"
    QOS_MISMATCH = "qos_mismatches"
    CAMERA_SILENT = "camera_silences"
    DETECTOR_SILENT = "detector_silences"
    ENGINE_GAVE_UP = "engine_gave_up"
    EMPTY_MASK = "objects_with_empty_mask"
    BOX_NOT_FINITE = "boxes_not_finite"
    BOX_NO_SIZE = "boxes_no_size"
    BOX_OUTSIDE = "boxes_outside"
    BOX_BAD_SCORE = "boxes_bad_score"
    BOX_DUPLICATE_ID = "boxes_duplicate_id"
    BOX_LOW_SCORE = "boxes_low_score"
    BOX_SURPLUS = "boxes_surplus"

    @classmethod
    def of_box(cls, reason: str) -> Fault:
        """The fault of a reason of ``detection_conversion.REJECTION_REASONS``."""
        return cls(f"boxes_{reason}")

    @property
    def ends_service(self) -> bool:
        """Whether the node stops answering because of it: an error, not a warning."""
        return self is Fault.ENGINE_GAVE_UP


class FaultLog:
    """Counts faults, and writes of each kind the first at once, then at most one line a period.

    A fault that lasts is an alarm: told and counted once when it begins, kept for diagnostics
    until it is cleared. Thread-safe.
    """

    def __init__(
        self,
        warn: Callable[[str], object],
        period_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warn = warn
        self._period_s = period_s
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[Fault] = Counter()
        self._silent: Counter[Fault] = Counter()
        self._told_at_s: dict[Fault, float] = {}
        self._alarms: dict[Fault, dict[str, str]] = {}

    def count(self, fault: Fault, times: int = 1) -> None:
        """Count without a word."""
        with self._lock:
            self._counts[fault] += times

    def report(self, fault: Fault, text: str, times: int = 1) -> None:
        """Count, and warn unless this kind was told within the period."""
        with self._lock:
            self._counts[fault] += times
            now_s = self._clock()
            told_at_s = self._told_at_s.get(fault)
            if told_at_s is not None and now_s - told_at_s < self._period_s:
                self._silent[fault] += times
                return
            self._told_at_s[fault] = now_s
            silent = self._silent.pop(fault, 0)
        self._warn(f"{text} ({silent} more since the last warning)" if silent else text)

    def alarm(self, fault: Fault, text: str, source: str = "") -> None:
        """Raise an alarm, unless ``source`` has one of this kind: count it and warn at once."""
        with self._lock:
            sources = self._alarms.setdefault(fault, {})
            if source in sources:
                return
            sources[source] = text
            self._counts[fault] += 1
        self._warn(text)

    def clear_alarm(self, fault: Fault, source: str = "") -> bool:
        """End an alarm; returns whether there was one."""
        with self._lock:
            sources = self._alarms.get(fault, {})
            return sources.pop(source, None) is not None

    def alarms(self) -> tuple[tuple[Fault, str], ...]:
        """What is wrong at present, each with its text; the order of ``Fault``."""
        with self._lock:
            return tuple(
                (fault, text) for fault in Fault for text in self._alarms.get(fault, {}).values()
            )

    def counts(self) -> Mapping[str, int]:
        """Every counter by its name, zeros included."""
        with self._lock:
            return {fault.value: self._counts[fault] for fault in Fault}
