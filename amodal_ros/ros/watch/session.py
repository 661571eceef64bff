# SPDX-License-Identifier: Apache-2.0
"""All that watches over an active node: inputs, graph, clock, engine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from amodal_ros.ros.watch.clock import ClockWatch
from amodal_ros.ros.watch.engine_health import EngineHealth
from amodal_ros.ros.watch.faults import Fault, FaultLog
from amodal_ros.ros.watch.graph import GraphWatch, silence_cause
from amodal_ros.ros.watch.silence import InputWatch

_PERIOD_S = 1.0
# An input is silent after so long without a message.
SILENCE_S = 5.0


class SessionWatch:
    """Watches from construction, after the subscriptions were made, to ``close``.

    Args:
        node: what is watched; deactivated when its engine is given up.
        faults: where faults and alarms go.
        camera: name of the image topic.
        detector: name of the detections topic.
        on_time_backward: called in the node's executor after simulated time went back.
        watched: whether the graph of a topic, by its full name, is watched here.
        idle_since: monotonic seconds since when no frame is in work; None: one is.
    """

    def __init__(
        self,
        node: LifecycleNode,
        faults: FaultLog,
        camera: str,
        detector: str,
        on_time_backward: Callable[[], object],
        watched: Callable[[str], bool],
        idle_since: Callable[[], float | None],
    ) -> None:
        self._node = node
        self._idle_since = idle_since
        faults.clear_alarm(Fault.ENGINE_GAVE_UP)
        self._give_up = node.create_guard_condition(self._deactivate)
        self.engine = EngineHealth(faults, on_broken=self._give_up.trigger)
        self._graph = GraphWatch(node, faults, watched)
        self._inputs = InputWatch(
            faults,
            node.get_logger().info,
            node.resolve_topic_name(camera),
            node.resolve_topic_name(detector),
            monotonic(),
            SILENCE_S,
            partial(silence_cause, node),
        )
        self._clock = ClockWatch(node, faults, on_time_backward)
        # Simulated time may stand still; this node's watch must not.
        self._timer = node.create_timer(
            _PERIOD_S, self._check, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def image_came(self) -> None:
        """An image was received, good or bad."""
        self._inputs.image_came(monotonic())

    def detections_came(self) -> None:
        """A detection message was received."""
        self._inputs.detections_came(monotonic())

    def close(self) -> None:
        """Watch no longer. The alarm of a given up engine stays until the next activation."""
        self._clock.close()
        self._node.destroy_timer(self._timer)
        self._node.destroy_guard_condition(self._give_up)
        self._graph.clear()
        self._inputs.clear()

    def _check(self) -> None:
        self._inputs.check(monotonic(), self._idle_since())
        self._graph.check()

    def _deactivate(self) -> None:
        self._node.trigger_deactivate()
