# SPDX-License-Identifier: Apache-2.0
"""Notices when the camera or the detector falls silent, and when it comes back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from amodal_ros.ros.watch.faults import Fault, FaultLog


class InputWatch:
    """Alarms for inputs that have stopped. Times are the caller's monotonic clock in seconds.

    A detector is silent only in relation to the camera: where no image comes, it has no work. A
    camera that sends an image now and then is not silent in between: twice its own interval is
    waited for, if that is longer.
    Not thread-safe: call it from one thread.

    Args:
        faults: where alarms go.
        inform: told when an input is back.
        camera: name of the image topic.
        detector: name of the detections topic.
        now_s: when listening began.
        silence_s: after so long without a message an input is silent, at the earliest.
    """

    def __init__(
        self,
        faults: FaultLog,
        inform: Callable[[str], object],
        camera: str,
        detector: str,
        now_s: float,
        silence_s: float,
    ) -> None:
        self._faults = faults
        self._inform = inform
        self._topics = {Fault.CAMERA_SILENT: camera, Fault.DETECTOR_SILENT: detector}
        self._silence_s = silence_s
        self._camera_s = self._detector_s = now_s
        self._camera_since_s = now_s
        self._seen = False  # an image; listening may begin long before the first
        self._intervals_s: deque[float] = deque(maxlen=2)

    def image_came(self, now_s: float) -> None:
        """An image was received."""
        if now_s - self._camera_s >= self._patience_s():
            self._camera_since_s = now_s
        if self._seen:
            self._intervals_s.append(now_s - self._camera_s)
        self._seen = True
        self._camera_s = now_s
        self._back(Fault.CAMERA_SILENT)

    def detections_came(self, now_s: float) -> None:
        """A detection message was received, be it empty."""
        self._detector_s = now_s
        self._back(Fault.DETECTOR_SILENT)

    def check(self, now_s: float, idle_since_s: float | None) -> None:
        """Raise alarms; call it now and then.

        Args:
            now_s: the present.
            idle_since_s: since when no frame is in work; None: one is. The camera may wait for
                the answer to its image.
        """
        silent_s, patience_s = now_s - self._camera_s, self._patience_s()
        if silent_s >= patience_s:
            if idle_since_s is None or now_s - idle_since_s < self._silence_s:
                return
            self._faults.alarm(
                Fault.CAMERA_SILENT,
                f"no image on {self._topics[Fault.CAMERA_SILENT]} for "
                f"{silent_s:.0f} s: is the camera running, is it that topic?",
            )
        elif now_s - max(self._detector_s, self._camera_since_s) >= patience_s:
            self._faults.alarm(
                Fault.DETECTOR_SILENT,
                f"images come, but no boxes on {self._topics[Fault.DETECTOR_SILENT]} for "
                f"{now_s - max(self._detector_s, self._camera_since_s):.0f} s: is the detector "
                "running, is it that topic? Images without boxes are not answered",
            )

    def clear(self) -> None:
        """End all alarms."""
        for fault in self._topics:
            self._faults.clear_alarm(fault)

    def _patience_s(self) -> float:
        if len(self._intervals_s) < 2:
            return self._silence_s
        # The shorter of two: one long pause of a fast camera is no habit.
        return max(self._silence_s, 2.0 * min(self._intervals_s))

    def _back(self, fault: Fault) -> None:
        if self._faults.clear_alarm(fault):
            self._inform(f"messages on {self._topics[fault]} again")
