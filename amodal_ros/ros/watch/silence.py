# SPDX-License-Identifier: Apache-2.0
"""Notices when camera or detector fall silent or come back, and when the node's clock jumps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rclpy.clock import ClockChange, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

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
        cause: why nothing arrives on a topic, given whether anything ever did.
    """

    def __init__(
        self,
        faults: FaultLog,
        inform: Callable[[str], object],
        camera: str,
        detector: str,
        now_s: float,
        silence_s: float,
        cause: Callable[[str, bool], str],
    ) -> None:
        self._faults = faults
        self._inform = inform
        self._topics = {Fault.CAMERA_SILENT: camera, Fault.DETECTOR_SILENT: detector}
        self._silence_s = silence_s
        self._camera_s = self._detector_s = now_s
        self._camera_since_s = now_s
        self._cause = cause
        # Of what came; listening may begin long before the first.
        self._seen: set[Fault] = set()
        self._intervals_s: deque[float] = deque(maxlen=2)

    def image_came(self, now_s: float) -> None:
        """An image was received."""
        if now_s - self._camera_s >= self._patience_s():
            self._camera_since_s = now_s
        if Fault.CAMERA_SILENT in self._seen:
            self._intervals_s.append(now_s - self._camera_s)
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
            self._alarm(Fault.CAMERA_SILENT, f"no image on {{}} for {silent_s:.0f} s")
        elif now_s - max(self._detector_s, self._camera_since_s) >= patience_s:
            silent_s = now_s - max(self._detector_s, self._camera_since_s)
            self._alarm(
                Fault.DETECTOR_SILENT,
                f"images come, but no boxes on {{}} for {silent_s:.0f} s, and images without "
                "boxes are not answered",
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

    def _alarm(self, fault: Fault, text: str) -> None:
        if not self._faults.has_alarm(fault):
            topic = self._topics[fault]
            cause = self._cause(topic, fault in self._seen)
            self._faults.alarm(fault, f"{text.format(topic)}: {cause}")

    def _back(self, fault: Fault) -> None:
        self._seen.add(fault)
        if self._faults.clear_alarm(fault):
            self._inform(f"messages on {self._topics[fault]} again")


# Simulated time advances in steps; a step above this is a jump.
_FORWARD_S = 5.0
_BACKWARD_S = 0.5


class ClockWatch:
    """Counts and tells the jumps of a node's clock.

    Simulated time alone: rclpy does not see corrections of the system's clock. Pairing and tracks
    go by the images' stamps, whose jumps are noticed there; their time-outs by a steady clock.

    Args:
        node: its clock is watched.
        faults: jumps are counted there.
        on_backward: called in the node's executor after time went back.
    """

    def __init__(self, node: Node, faults: FaultLog, on_backward: Callable[[], object]) -> None:
        self._clock = node.get_clock()
        self._faults = faults
        self._on_backward = on_backward
        self._before_ns = 0
        threshold = JumpThreshold(
            min_forward=Duration(seconds=_FORWARD_S),
            min_backward=Duration(seconds=-_BACKWARD_S),
            on_clock_change=False,
        )
        self._handle = self._clock.create_jump_callback(
            threshold, pre_callback=self._remember, post_callback=self._on_jump
        )

    def close(self) -> None:
        """Watch no longer."""
        self._handle.unregister()

    def _remember(self) -> None:
        self._before_ns = self._clock.now().nanoseconds

    def _on_jump(self, jump: TimeJump) -> None:
        # Before the first message of /clock simulated time is 0: that is a start, not a jump.
        if jump.clock_change != ClockChange.ROS_TIME_NO_CHANGE or self._before_ns == 0:
            return
        seconds = jump.delta.nanoseconds / 1e9
        if seconds < 0:
            self._faults.report(
                Fault.CLOCK_JUMP, f"the clock went back by {-seconds:.3f} s: starting anew"
            )
            self._on_backward()
        else:
            self._faults.report(Fault.CLOCK_JUMP, f"the clock went forward by {seconds:.3f} s")
