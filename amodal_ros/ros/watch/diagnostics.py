# SPDX-License-Identifier: Apache-2.0
"""The statuses on ``/diagnostics``, once a second: one of the model, one of each camera.

Levels of a camera: ERROR, it cannot answer (the engine fails or was given up); STALE, no image
comes; WARN, an input is wrong or lost frames in the last seconds; OK, all else, a node that is not
active included.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from amodal_ros.ros.watch.faults import Fault
from amodal_ros.ros.watch.frame_statistics import StatisticsSummary
from amodal_ros.tracking.budget import BudgetStatus
from amodal_ros.tracking.tracker import TrackerStatus

_PERIOD_S = 1.0
_RECENT = 5  # periods
# A model that is slower than its camera, images before the detector's first boxes, and boxes that
# a threshold leaves out are no faults; nor are things that are woven.
_HARMLESS = frozenset(
    fault.value
    for fault in (
        Fault.SUPERSEDED,
        Fault.IMAGE_WITHOUT_DETECTIONS,
        Fault.EMPTY_MASK,
        Fault.CYCLE,
        Fault.CONTRADICTION,
        Fault.BOX_LOW_SCORE,
        Fault.BOX_STAMPS,
    )
)


@dataclass(frozen=True)
class CameraState:
    """What is told of one camera.

    Attributes:
        name: of the camera; empty: the only one.
        active: whether the node is.
        summary: rates and latencies; None while the node is not active.
        counts: counters since the node was configured.
        alarms: what is wrong at present.
        tracker: counts of the objects followed; None while the node is not active.
        reliability: asked of the image publishers.
        lost_3d: what depth lacked, by name; empty without depth.
        budget: what the frame budget comes to; None while the node is not active.
    """

    name: str
    active: bool
    summary: StatisticsSummary | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    alarms: Sequence[tuple[Fault, str]] = ()
    tracker: TrackerStatus | None = None
    reliability: str = ""
    lost_3d: Mapping[str, int] = field(default_factory=dict)
    budget: BudgetStatus | None = None


@dataclass(frozen=True)
class ModelState:
    """What is told of the model.

    Attributes:
        lifecycle: the node's state, as ``active``.
        facts: what the model is and what runs it; empty: none is loaded.
        loading: another one is being loaded.
        failure: why the model that was asked for last cannot be used; empty: it can.
    """

    lifecycle: str
    facts: Mapping[str, str] = field(default_factory=dict)
    loading: bool = False
    failure: str = ""


class DiagnosticsPublisher:
    """Asks for the state and publishes it, from construction to the node's end."""

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
        message.header.stamp = self._node.get_clock().now().to_msg()
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


def camera_status(
    node_name: str, state: CameraState, recent: Mapping[str, int]
) -> DiagnosticStatus:
    """The status of one camera."""
    level, message = _judge(state, recent)
    values = [*_rates(state.summary)]
    values += [*_tracks(state.tracker), *_budget(state.budget)]
    if state.reliability:
        values.append(("image_reliability", state.reliability))
    values += [(f"alarm_{fault.value}", text) for fault, text in state.alarms]
    values += [(name, str(count)) for name, count in {**state.counts, **state.lost_3d}.items()]
    return _status(f"{node_name}: {state.name or 'camera'}", level, message, values)


def model_status(node_name: str, state: ModelState) -> DiagnosticStatus:
    """The status of the model and the process."""
    level, message = DiagnosticStatus.OK, state.facts.get("model", "no model is loaded")
    if state.loading:
        message = f"{message}; another model is being loaded"
    if state.failure and state.facts:
        level, message = DiagnosticStatus.WARN, f"model change failed: {state.failure}"
    elif state.failure:
        level, message = DiagnosticStatus.ERROR, f"cannot configure: {state.failure}"
    values = [("lifecycle", state.lifecycle), *state.facts.items()]
    memory_mib = resident_memory_mib()
    if memory_mib is not None:
        values.append(("memory_mib", f"{memory_mib:.1f}"))
    return _status(f"{node_name}: model", level, message, values)


def resident_memory_mib() -> float | None:
    """This process's resident memory in MiB; None where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _judge(state: CameraState, recent: Mapping[str, int]) -> tuple[bytes, str]:
    gave_up = [text for fault, text in state.alarms if fault.ends_service]
    if gave_up:
        return DiagnosticStatus.ERROR, gave_up[0]
    if not state.active or state.summary is None:
        return DiagnosticStatus.OK, "not active"
    summary = state.summary
    if recent.get(Fault.ENGINE.value) and not summary.answer_hz:
        return DiagnosticStatus.ERROR, "the engine fails on every frame"
    silent = [text for fault, text in state.alarms if fault is Fault.CAMERA_SILENT]
    if silent:
        return DiagnosticStatus.STALE, silent[0]
    if state.alarms:
        return DiagnosticStatus.WARN, state.alarms[0][1]
    lost = [f"{name} {count}" for name, count in recent.items() if count and name not in _HARMLESS]
    if lost:
        return DiagnosticStatus.WARN, f"in the last seconds: {', '.join(lost)}"
    if summary.image_age_s is None:
        return DiagnosticStatus.OK, "waiting for images"
    return (
        DiagnosticStatus.OK,
        f"{summary.answer_hz:.1f} of {summary.image_hz:.1f} images a second answered",
    )


def _rates(summary: StatisticsSummary | None) -> list[tuple[str, str]]:
    if summary is None:
        return []
    values = [
        ("images_per_s", f"{summary.image_hz:.2f}"),
        ("answers_per_s", f"{summary.answer_hz:.2f}"),
    ]
    for name, latency in (
        ("latency_ms", summary.latency_ms),
        ("stamp_latency_ms", summary.stamp_latency_ms),
    ):
        if latency is not None:
            values += [
                (f"{name}_p{percentile}", f"{value:.1f}")
                for percentile, value in zip((50, 90, 99), latency, strict=True)
            ]
    if summary.image_age_s is not None:
        values.append(("last_image_s_ago", f"{summary.image_age_s:.1f}"))
    return values


def _tracks(tracker: TrackerStatus | None) -> list[tuple[str, str]]:
    if tracker is None:
        return []
    values = [
        ("tracks", str(tracker.tracks)),
        ("tracks_coasting", str(tracker.coasting)),
        ("tracks_given", str(tracker.pinned)),
        ("tracker_resets", str(tracker.resets)),
        ("tracker_restarts", str(tracker.restarts)),
    ]
    if tracker.remembered:
        values += [
            ("tracks_in_model_memory", str(tracker.remembered)),
            ("model_memory_mib", f"{tracker.memory_bytes / 2**20:.1f}"),
        ]
    return values


def _budget(budget: BudgetStatus | None) -> list[tuple[str, str]]:
    if budget is None or not budget.budget_s:
        return []
    return [
        ("frame_budget_ms", f"{budget.budget_s * 1e3:.1f}"),
        ("object_cost_ms", f"{budget.object_s * 1e3:.1f}"),
        ("small_look_cost_ms", f"{budget.small_s * 1e3:.1f}"),
        ("looks", f"{budget.looks} of {budget.objects}"),
        ("small_looks", str(budget.small_looks)),
        ("look_bound_s", f"{budget.bound_s:.2f}"),
        ("oldest_look_s", f"{budget.oldest_s:.2f}"),
    ]


def _status(
    name: str, level: bytes, message: str, values: Sequence[tuple[str, str]]
) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id="amodal_ros",
        values=[KeyValue(key=key, value=value) for key, value in values],
    )
