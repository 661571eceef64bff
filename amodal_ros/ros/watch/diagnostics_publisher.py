# SPDX-License-Identifier: Apache-2.0
"""Publishes the node's state on ``/diagnostics`` once a second, whatever state it is in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from amodal_ros.ros.convert.stamps import ns_to_stamp
from amodal_ros.ros.watch.diagnostics import CameraState, ModelState, camera_status, model_status

_PERIOD_S = 1.0
_RECENT = 5  # periods


class DiagnosticsPublisher:
    """Asks for the state and publishes it, from construction to the node's end.

    Args:
        node: owns timer and publisher.
        model: gives the model's state.
        cameras: gives that of each camera; ``recent`` is filled in here.
    """

    def __init__(
        self,
        node: LifecycleNode,
        model: Callable[[], ModelState],
        cameras: Callable[[], Sequence[CameraState]],
    ) -> None:
        self._node = node
        self._model = model
        self._cameras = cameras
        self._history: dict[str, deque[Mapping[str, int]]] = {}
        # By its absolute name: one topic of the whole robot.
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 5)
        # Simulated time may stand still; a camera that stands still is to be told.
        self._timer = node.create_timer(
            _PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def publish(self) -> None:
        """Publish the present state."""
        name = self._node.get_fully_qualified_name().lstrip("/")
        message = DiagnosticArray()
        message.header.stamp = ns_to_stamp(self._node.get_clock().now().nanoseconds)
        message.status = [model_status(name, self._model())]
        for state in self._cameras():
            message.status.append(
                camera_status(name, state, self._recent(state.name, state.counts))
            )
        self._publisher.publish(message)

    def _recent(self, camera: str, counts: Mapping[str, int]) -> dict[str, int]:
        """What the counters grew by in the last ``_RECENT`` periods."""
        history = self._history.setdefault(camera, deque(maxlen=_RECENT + 1))
        if history and any(counts.get(key, 0) < count for key, count in history[-1].items()):
            history.clear()  # configured anew
        if not history:
            history.append({})  # all counters begin at zero
        history.append(dict(counts))
        return {key: count - history[0].get(key, 0) for key, count in counts.items()}
