# SPDX-License-Identifier: Apache-2.0
"""Statuses on /diagnostics: levels, values, and the node over real DDS."""

from __future__ import annotations

import mmap

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from amodal_ros.errors import BackendError
from amodal_ros.ros.watch.diagnostics import (
    CameraState,
    ModelState,
    camera_status,
    model_status,
    resident_memory_mib,
)
from amodal_ros.ros.watch.faults import Fault
from amodal_ros.ros.watch.frame_statistics import WINDOW_S, FrameStatistics, StatisticsSummary
from amodal_ros.tracking.tracker import TrackerStatus
from tests.ros.fake_predictor import FakePredictor
from tests.ros.ros_rig import picture

BOX = (20.0, 30.0, 60.0, 80.0)
OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
ERROR, STALE = DiagnosticStatus.ERROR, DiagnosticStatus.STALE
RUNNING = StatisticsSummary(30.0, 10.0, (40.0, 50.0, 60.0), (45.0, 55.0, 65.0), 0.03)
STOPPED = StatisticsSummary(30.0, 0.0, None, None, 0.03)
WAITING = StatisticsSummary(0.0, 0.0, None, None, None)


@pytest.mark.parametrize(
    ("level", "text", "active", "summary", "recent", "alarms"),
    [
        (OK, "10.0 of 30.0 images a second answered", True, RUNNING, {}, ()),
        (OK, "waiting for images", True, WAITING, {}, ()),
        (OK, "not active", False, None, {}, ()),
        (OK, "10.0 of 30.0", True, RUNNING, {Fault.SUPERSEDED.value: 100}, ()),
        (OK, "10.0 of 30.0", True, RUNNING, {Fault.BAD_IMAGE.value: 0}, ()),
        (WARN, "dropped_bad_image 3", True, RUNNING, {Fault.BAD_IMAGE.value: 3}, ()),
        (WARN, "dropped_engine_error 1", True, RUNNING, {Fault.ENGINE.value: 1}, ()),
        (ERROR, "the engine fails on every", True, STOPPED, {Fault.ENGINE.value: 1}, ()),
        (WARN, "another QoS", True, STOPPED, {}, [(Fault.QOS_MISMATCH, "another QoS")]),
        (STALE, "no image", True, STOPPED, {}, [(Fault.CAMERA_SILENT, "no image")]),
        (WARN, "no boxes", True, STOPPED, {}, [(Fault.DETECTOR_SILENT, "no boxes")]),
        (ERROR, "it failed", False, None, {}, [(Fault.ENGINE_GAVE_UP, "it failed")]),
    ],
)
def test_levels_of_a_camera(level, text, active, summary, recent, alarms):
    state = CameraState("left", active, summary, counts=recent, alarms=alarms)
    status = camera_status("amodal_perception", state, recent)
    assert (status.level, status.name) == (level, "amodal_perception: left")
    assert text in status.message


def test_values_of_a_camera():
    state = CameraState(
        "",
        True,
        RUNNING,
        counts={"dropped_bad_image": 2},
        alarms=[(Fault.QOS_MISMATCH, "another QoS")],
        tracker=TrackerStatus(tracks=4, coasting=2, pinned=1, resets=5, restarts=6),
        reliability="reliable",
        lost_3d={"frames_without_depth": 5},
    )
    status = camera_status("robot/amodal_perception", state, {})
    assert status.name == "robot/amodal_perception: camera"
    assert {entry.key: entry.value for entry in status.values} == {
        "images_per_s": "30.00",
        "answers_per_s": "10.00",
        "latency_ms_p50": "40.0",
        "latency_ms_p90": "50.0",
        "latency_ms_p99": "60.0",
        "stamp_latency_ms_p50": "45.0",
        "stamp_latency_ms_p90": "55.0",
        "stamp_latency_ms_p99": "65.0",
        "last_image_s_ago": "0.0",
        "tracks": "4",
        "tracks_coasting": "2",
        "tracks_given": "1",
        "tracker_resets": "5",
        "tracker_restarts": "6",
        "image_reliability": "reliable",
        "alarm_qos_mismatches": "another QoS",
        "dropped_bad_image": "2",
        "frames_without_depth": "5",
    }


FACTS = {"model": "small", "precision_verified": "yes"}


@pytest.mark.parametrize(
    ("level", "text", "state"),
    [
        (OK, "small", ModelState("active", FACTS)),
        (OK, "small; another model is being loaded", ModelState("active", FACTS, loading=True)),
        (WARN, "model change failed: no", ModelState("active", FACTS, failure="no")),
        (ERROR, "cannot configure: no", ModelState("unconfigured", failure="no")),
        (OK, "no model is loaded", ModelState("unconfigured")),
    ],
)
def test_levels_of_the_model(level, text, state):
    status = model_status("amodal_perception", state)
    assert (status.level, status.name) == (level, "amodal_perception: model")
    assert text in status.message
    values = {entry.key: entry.value for entry in status.values}
    assert values["lifecycle"] == state.lifecycle
    assert float(values["memory_mib"]) == pytest.approx(resident_memory_mib(), rel=0.2)


def test_memory_is_that_of_the_process():
    before = resident_memory_mib()
    with mmap.mmap(-1, 64 * 2**20) as held:  # of its own: the allocator may have some left over
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
        assert resident_memory_mib() - before > 50


def test_rates_and_percentiles_are_those_of_the_last_seconds():
    now = [100.0]
    statistics = FrameStatistics(clock=lambda: now[0])
    empty = statistics.summary()
    assert (empty.image_hz, empty.answer_hz, empty.latency_ms) == (0.0, 0.0, None)
    assert empty.image_age_s is None
    for index in range(100):
        now[0] += 0.1
        statistics.image_came()
        if index % 2:
            statistics.answered(float(index), float(index) + 1000.0)
    summary = statistics.summary()
    assert summary.image_hz == pytest.approx(10.0)
    assert summary.answer_hz == pytest.approx(5.0)
    assert summary.latency_ms == pytest.approx((50.0, 89.2, 98.02))
    assert summary.stamp_latency_ms[0] == pytest.approx(1050.0)
    now[0] += WINDOW_S / 2
    halved = statistics.summary()
    assert halved.image_hz == pytest.approx(5.0, rel=0.05)
    assert halved.latency_ms[0] == pytest.approx(75.0, abs=2.0)
    assert halved.image_age_s == pytest.approx(WINDOW_S / 2)
    now[0] += WINDOW_S
    assert statistics.summary().latency_ms is None


def test_a_node_tells_its_state_from_the_first_second_on(make_rig):
    rig = make_rig(activate=False)
    state = rig.camera.diagnostics("model", lambda status: True)
    assert (state["lifecycle"], state["message"]) == ("unconfigured", "no model is loaded")
    assert rig.camera.change_state(1)
    state = rig.camera.diagnostics("camera", lambda status: True)
    assert (state["level"], state["message"]) == (OK, "not active")
    assert rig.camera.change_state(3)
    rig.wait_connected(rig.camera)
    rig.predictor.delay_s = 0.05
    for _ in range(3):
        rig.camera.ask(picture(), [BOX, (500.0, 0.0, 520.0, 20.0)])
    state = rig.camera.diagnostics("camera", lambda status: "boxes_outside 3" in status.message)
    assert state["level"] == WARN
    assert state["tracks"] == "1"
    assert float(state["answers_per_s"]) > 0
    assert 50 <= float(state["latency_ms_p50"]) <= float(state["latency_ms_p99"])
    assert rig.camera.diagnostics("model", lambda s: True)["model"] == "FakePredictor"


def test_an_engine_that_fails_on_every_frame_is_an_error(make_rig):
    rig = make_rig()
    rig.predictor.failures = [BackendError("out of memory")] * 2
    for expected in (1, 2):
        rig.camera.send(picture(), [BOX])
        rig.camera.wait(lambda n=expected: rig.counts("dropped_engine_error") == n, "the counter")
    rig.camera.diagnostics("camera", lambda status: status.level == ERROR)
    rig.camera.ask(picture(), [BOX])
    rig.camera.diagnostics("camera", lambda status: status.level == WARN)


def test_a_model_that_cannot_be_loaded_is_an_error_until_one_can(make_rig):
    rig = make_rig(activate=False)

    def fail(parameters):
        raise BackendError("no such GPU")

    rig.make_predictor = fail
    assert not rig.camera.change_state(1)
    state = rig.camera.diagnostics("model", lambda status: status.level == ERROR)
    assert state["message"] == "cannot configure: no such GPU"
    rig.make_predictor = lambda parameters: FakePredictor()
    assert rig.camera.change_state(1)
    rig.camera.diagnostics("model", lambda status: status.level == OK)
