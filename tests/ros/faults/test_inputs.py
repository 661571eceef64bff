# SPDX-License-Identifier: Apache-2.0
"""Bad cameras and detectors, each a process away: silent, late, twice, out of order, off rate."""

from __future__ import annotations

import time

import pytest
from lifecycle_msgs.msg import Transition

from tests.ros.faults.fault_rig import BOX
from tests.ros.ros_rig import boxes_message, image_message, picture

PARAMETERS = {"sync_timeout": 0.5, "max_coast": 0.0}
SILENCE_S = 1.0
NO_IMAGE = "no image on /camera/image_raw for"


def wait_answered(rig, headers):
    rig.camera.wait(
        lambda: all(header.stamp in rig.answered() for header in headers), "all answers"
    )


@pytest.fixture
def impatient(rig):
    """A node that takes an input for silent after a second."""
    rig.process.tell(f"silence {SILENCE_S}")
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        assert rig.camera.change_state(transition)
    rig.connect()
    return rig


def test_a_silent_detector_is_told_and_welcomed_back(impatient):
    rig = impatient
    before = rig.counters()
    frame = rig.stream(SILENCE_S + 1.5, 0.05, lambda _: rig.send(rig.stamp(), boxes=False))
    assert "images come, but no boxes on /detections for" in rig.process.output
    gained = rig.gained(before)
    assert gained["detector_silences"] == 1
    assert "camera_silences" not in gained
    # The last ten wait for their boxes.
    assert 0 < gained["dropped_image_without_detections"] <= len(frame)
    rig.wait_output("messages on /detections again")


def test_a_camera_that_stalls_and_returns(impatient):
    rig = impatient
    before = rig.counters()
    rig.wait_output(NO_IMAGE, SILENCE_S + 3)
    assert len(rig.camera.ask(picture(), [BOX]).masks) == 1
    rig.wait_output("messages on /camera/image_raw again")
    assert rig.other_losses(before) == {"camera_silences": 1}


def test_a_camera_that_waits_for_a_slow_answer_is_not_silent(impatient):
    rig = impatient
    before = rig.counters()
    rig.process.tell(f"delay {2.5 * SILENCE_S}")
    rig.camera.wait_answer(rig.camera.send(picture(), [BOX]))
    rig.process.tell("delay 0")
    assert rig.other_losses(before) == {}
    seen = rig.process.output.count(NO_IMAGE)
    rig.camera.wait(
        lambda: rig.process.output.count(NO_IMAGE) > seen, "the alarm afterwards", SILENCE_S + 3
    )


def test_a_late_detector_is_answered_as_long_as_its_image_waits(rig):
    before = rig.counters()
    stamps = [rig.stamp() for _ in range(5)]
    for stamp in stamps:
        rig.send(stamp, boxes=False)
        rig.camera.spin_for(0.02)
    rig.camera.spin_for(0.3)
    headers = []
    for stamp in stamps:
        headers.append(rig.send(stamp, image=False))
        wait_answered(rig, headers)
    assert rig.other_losses(before) == {}


def test_a_detector_that_is_too_late_costs_its_frame_alone(rig):
    before = rig.counters()
    stamps = [rig.stamp() for _ in range(12)]
    for stamp in stamps:
        rig.send(stamp, boxes=False)
        rig.camera.spin_for(0.02)
    rig.send(stamps[0], image=False)
    rig.camera.spin_for(0.2)
    assert rig.answered() == []
    time.sleep(0.5)
    gained = rig.gained(before)
    assert gained["dropped_detections_without_image"] == 1
    assert gained["dropped_image_without_detections"] >= 2
    assert (
        "0 s of slop; its image had other boxes, or had left the queue: the detector"
        in rig.process.output
    )


def test_boxes_out_of_order_answer_only_forward(rig):
    before = rig.counters()
    stamps = [rig.stamp() for _ in range(4)]
    for stamp in stamps:
        rig.send(stamp, boxes=False)
        rig.camera.spin_for(0.02)
    sent = []
    for number in (0, 2, 1, 3):
        sent.append(rig.send(stamps[number], image=False))
        rig.camera.spin_for(0.15)
    wait_answered(rig, [sent[0], sent[1], sent[3]])
    assert rig.answered() == [sent[0].stamp, sent[1].stamp, sent[3].stamp]
    assert rig.other_losses(before) == {"dropped_out_of_order": 1}


def test_everything_twice_is_answered_once(rig):
    before = rig.counters()
    stamps = [rig.stamp() for _ in range(5)]
    headers = []
    for stamp in stamps:
        for image in (True, False):
            for _ in range(2):
                headers.append(rig.send(stamp, image=image, boxes=not image))
                rig.camera.spin_for(0.02)
    wait_answered(rig, headers)
    rig.camera.spin_for(0.1)
    assert len(rig.answered()) == len(stamps)
    assert rig.other_losses(before) == {"dropped_duplicate": 2 * len(stamps)}


def test_a_detector_at_a_quarter_of_the_cameras_rate(rig):
    before = rig.counters()
    headers = []

    def frame(number):
        header = rig.send(rig.stamp(), boxes=number % 4 == 0)
        if number % 4 == 0:
            headers.append(header)

    numbers = rig.stream(1.0, 0.02, frame)
    wait_answered(rig, headers)
    assert rig.answered() == [header.stamp for header in headers]
    assert rig.other_losses(before) == {}
    assert len(headers) * 4 <= len(numbers) + 3


def test_a_detector_that_is_faster_than_the_camera(rig):
    """Boxes of frames that this node's camera topic does not carry."""
    before = rig.counters()
    headers = []

    def frame(number):
        header = rig.send(rig.stamp(), image=number % 3 == 0)
        if number % 3 == 0:
            headers.append(header)

    rig.stream(0.6, 0.03, frame)
    wait_answered(rig, headers)
    assert len(rig.answered()) == len(headers)
    time.sleep(0.8)
    assert set(rig.other_losses(before)) == {"dropped_detections_without_image"}


def test_image_size_changes_in_the_middle(rig):
    before = rig.counters()
    for height, width in ((120, 160), (90, 100), (200, 300), (31, 17), (120, 160)):
        header = rig.camera.header()
        rig.camera.images.publish(image_message(picture(height, width), header))
        rig.camera.boxes.publish(boxes_message([(2, 3, width - 2, height - 2)], header))
        answer = rig.camera.wait_answer(header)
        assert (answer.height, answer.width, len(answer.masks)) == (height, width, 1)
    assert rig.other_losses(before) == {}
