# SPDX-License-Identifier: Apache-2.0
"""What goes wrong: counted always, told in the log now and then; what lasts is an alarm."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum


class Fault(str, Enum):
    """Every way to lose a frame, a message or an object, or to get a wrong one.

    The value names its counter.
    """

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
    CYCLE = "occlusion_cycles"
    CONTRADICTION = "occlusion_contradictions"
    BOX_NOT_FINITE = "boxes_not_finite"
    BOX_NO_SIZE = "boxes_no_size"
    BOX_OUTSIDE = "boxes_outside"
    BOX_BAD_SCORE = "boxes_bad_score"
    BOX_LOW_SCORE = "boxes_low_score"
    BOX_SURPLUS = "boxes_surplus"
    BOX_UNITS = "boxes_in_other_units"
    BOX_IDS = "boxes_with_repeated_ids"
    BOX_SCORES = "boxes_scored_in_percent"
    BOX_STAMPS = "boxes_stamped_inside"
    NEVER_PAIRED = "boxes_never_paired"
    FRAME_ID = "frame_id_mismatches"
    STAMPS_AHEAD = "stamps_ahead"
    EXPOSURE = "images_of_one_colour"
    INPUT_SHARED = "inputs_shared"
    OUTPUT_SHARED = "outputs_shared"
    NO_3D = "no_3d_output"
    DEPTH_UNITS = "depth_in_other_units"

    @classmethod
    def of_box(cls, reason: str) -> Fault:
        """The fault of a reason for which ``convert.detections`` leaves a box out."""
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

    def alarm(self, fault: Fault, text: str, source: str = "", tell: bool = True) -> None:
        """Raise an alarm, unless ``source`` has one of this kind: count it and warn at once.

        Without ``tell`` the log stays silent.
        """
        with self._lock:
            sources = self._alarms.setdefault(fault, {})
            if source in sources:
                return
            sources[source] = text
            self._counts[fault] += 1
        if tell:
            self._warn(text)

    def has_alarm(self, fault: Fault, source: str = "") -> bool:
        """Whether there is one at present."""
        with self._lock:
            return source in self._alarms.get(fault, {})

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


class Doubt:
    """Something about a stream that is probably wrong: an alarm while its messages show it.

    Begins with some messages in a row that show it, ends with some that do not. It is counted
    each time it begins, and told in the log once. Not thread-safe: one thread looks.

    Args:
        faults: where the alarm goes.
        fault: its kind.
        source: which stream, where several have alarms of that kind.
        begin: so many messages in a row raise the alarm.
        end: so many end it.
    """

    def __init__(
        self, faults: FaultLog, fault: Fault, source: str = "", begin: int = 1, end: int = 10
    ) -> None:
        self._faults = faults
        self._fault = fault
        self._source = source
        self._needed = {True: begin, False: end}
        self._in_a_row = 0
        self._told = False
        self.active = False

    def see(self, text: str | None) -> None:
        """Take one message: what is wrong with it and what to do, or None."""
        wrong = text is not None
        self._in_a_row = 0 if wrong == self.active else self._in_a_row + 1
        if self._in_a_row < self._needed[wrong]:
            return
        self.active, self._in_a_row = wrong, 0
        if text is not None:
            self._faults.alarm(self._fault, text, self._source, tell=not self._told)
            self._told = True
        else:
            self._faults.clear_alarm(self._fault, self._source)

    def clear(self) -> None:
        """End the alarm, as at the start."""
        self.active, self._in_a_row = False, 0
        self._faults.clear_alarm(self._fault, self._source)
