# SPDX-License-Identifier: Apache-2.0
"""Simulated time that jumps, stands still or starts again, and bags that are played in a loop."""

from __future__ import annotations

import time

import pytest
from rosgraph_msgs.msg import Clock

from amodal_ros.ros.convert.stamps import NS_PER_S, ns_to_stamp

PARAMETERS = {"use_sim_time": True, "sync_timeout": 0.5, "max_coast": 1.0}
FRAME_PERIOD_NS = NS_PER_S // 5


@pytest.fixture(scope="module")
def clock(module_rig):
    publisher = module_rig.camera.node.create_publisher(Clock, "/clock", 10)
    module_rig.camera.wait(publisher.get_subscription_count, "the node's clock")
    return publisher


@pytest.fixture
def at(rig, clock):
    """Sets simulated time, in seconds; the node has it when this returns."""

    def set_time(seconds: float) -> int:
        now_ns = round(seconds * NS_PER_S)
        rig.camera._stamp_ns = now_ns
        for _ in range(3):  # nodes listen to /clock by best effort, and may lose one
            clock.publish(Clock(clock=ns_to_stamp(now_ns)))
            rig.camera.spin_for(0.05)
        return now_ns

    return set_time


def play(rig, start_ns: int, frames: int = 5, boxes_first: bool = False):
    """Frames as of a bag; all must be answered, in order. Returns their track ids."""
    rig.camera.answers.clear()
    headers = []
    for number in range(frames):
        stamp_ns = start_ns + number * FRAME_PERIOD_NS
        for image in (not boxes_first, boxes_first):
            headers.append(rig.send(stamp_ns, image=image, boxes=not image))
            rig.camera.spin_for(0.02)
        rig.camera.wait_answer(headers[-1])
    stamps = [header.stamp for header in headers[::2]]
    assert rig.answered() == stamps
    return {mask.track_id for answer in rig.camera.answers for mask in answer.masks}


def counters(rig, second: float) -> dict[str, float]:
    """The node's counters, read by a frame of that simulated second."""
    rig.camera._stamp_ns = round(second * NS_PER_S)
    return rig.counters()


@pytest.fixture(autouse=True)
def frames_have_simulated_stamps(module_rig, monkeypatch):
    """The camera stamps by the time that the test has set, not by the system's."""
    camera = module_rig.camera

    class Still:
        nanoseconds = 0

        def now(self):
            return self

    monkeypatch.setattr(camera.node, "get_clock", Still)


def test_time_goes_back_and_forth(rig, at):
    first = play(rig, at(1000.0))
    before = counters(rig, 1002.0)
    second = play(rig, at(500.0))
    assert not first & second
    third = play(rig, at(5000.0))
    fourth = play(rig, at(500.0))
    assert not (second | third) & fourth
    now = counters(rig, 502.0)
    assert now["clock_jumps"] - before["clock_jumps"] == 3
    assert "the clock went back by 500" in rig.process.output


@pytest.mark.parametrize("boxes_first", [False, True])
def test_a_bag_in_a_loop(rig, at, boxes_first):
    """The recorded stamps come again and again; the clock follows."""
    seen: set[int] = set()
    for _ in range(3):
        start_ns = at(2000.0)
        ids = play(rig, start_ns, boxes_first=boxes_first)
        assert len(ids) == 1
        assert not ids & seen
        seen |= ids
        at(2006.0)


@pytest.mark.parametrize("boxes_first", [False, True])
def test_a_bag_in_a_loop_without_clock(rig, boxes_first):
    """Only the stamps go back: `ros2 bag play --loop` without `--clock`."""
    before = counters(rig, 3000.0)
    for _ in range(3):
        play(rig, 3010 * NS_PER_S, frames=8, boxes_first=boxes_first)
    now = counters(rig, 3020.0)
    lost = {name for name in now if name.startswith("dropped") and now[name] != before[name]}
    assert lost == set()
    assert now["time_jumps"] - before["time_jumps"] == 2


def test_time_that_stands_still_holds_nothing_up(rig, at):
    now_ns = at(4000.0)
    before = counters(rig, 4000.1)
    rig.send(now_ns + 2 * NS_PER_S, image=False)
    time.sleep(1.0)
    now = counters(rig, 4000.2)
    assert (
        now["dropped_detections_without_image"] - before["dropped_detections_without_image"] == 1
    )


def test_one_stamp_from_the_future_costs_no_other_frame(rig, at):
    start_ns = at(6000.0)
    play(rig, start_ns)
    rig.camera.wait_answer(rig.send(start_ns + 10**6 * NS_PER_S))
    play(rig, start_ns + 2 * NS_PER_S)
