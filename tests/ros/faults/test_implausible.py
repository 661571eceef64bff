# SPDX-License-Identifier: Apache-2.0
"""Input that is read and answered but probably wrong: told once with the remedy, and shown."""

from __future__ import annotations

import array

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import ObjectHypothesisWithPose

from amodal_ros.ros.convert.stamps import NS_PER_S, ns_to_stamp, stamp_to_ns
from tests.ros.faults.fault_rig import BOX
from tests.ros.ros_rig import boxes_message, image_message, picture

PARAMETERS = {"sync_timeout": 0.5, "max_coast": 0.0}
BOXES = [BOX, (100.0, 10.0, 140.0, 50.0), (70.0, 60.0, 110.0, 110.0)]
YEAR_NS = 365 * 86400 * NS_PER_S


def parts(header):
    return image_message(picture(), header), boxes_message([(0.1, 0.2, 0.3, 0.6)], header)


def classes_as_ids(header):
    return image_message(picture(), header), boxes_message(BOXES, header, ["47"] * 3)


def percent(header):
    boxes = boxes_message(BOXES, header)
    for detection in boxes.detections:
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.score = 80.0
        detection.results = [hypothesis]
    return image_message(picture(), header), boxes


def another_frame(header):
    boxes = boxes_message(BOXES, Header(stamp=header.stamp, frame_id="left_camera"))
    return image_message(picture(), header), boxes


def ten_bits(header):
    samples = np.random.default_rng(0).integers(0, 1024, (120, 160)).astype("<u2")
    image = Image(header=header, height=120, width=160, encoding="mono16", step=320)
    image.data = array.array("B", samples.tobytes())
    return image, boxes_message(BOXES, header)


def next_year(header):
    later = Header(frame_id=header.frame_id)
    later.stamp = ns_to_stamp(stamp_to_ns(header.stamp) + YEAR_NS)
    return image_message(picture(), later), boxes_message(BOXES, later)


def stamped_inside(header):
    boxes = boxes_message(BOXES, header)
    boxes.header = Header()
    return image_message(picture(), header), boxes


@pytest.mark.parametrize(
    ("make", "frames", "objects", "counter", "text"),
    [
        (parts, 1, None, "boxes_in_other_units", "Set box_units:=normalised"),
        (classes_as_ids, 1, 3, "boxes_with_repeated_ids", "have the id '47'"),
        (percent, 1, 3, "boxes_scored_in_percent", "scores are 0..100, as 80"),
        (another_frame, 1, 3, "frame_id_mismatches", "boxes have the frame 'left_camera'"),
        (ten_bits, 3, 3, "images_of_one_colour", "set image_bits:=10 or 12"),
        (next_year, 3, 3, "stamps_ahead", "image stamps are 365.0 days ahead"),
        (stamped_inside, 3, 3, "boxes_stamped_inside", "the box message has stamp 0, its boxes"),
    ],
)
def test_it_is_answered_told_once_and_shown(rig, make, frames, objects, counter, text):
    before = rig.counters()
    for _ in range(frames):
        image, boxes = make(rig.camera.header())
        rig.camera.images.publish(image)
        rig.camera.boxes.publish(boxes)
        answer = rig.camera.wait_answer(image.header)
        assert objects is None or len(answer.masks) == objects
    if counter != "boxes_stamped_inside":
        state = rig.camera.diagnostics(
            "camera", lambda status: any(v.key == f"alarm_{counter}" for v in status.values)
        )
        assert state["level"] == DiagnosticStatus.WARN
        assert text in state[f"alarm_{counter}"]
    assert rig.process.output.count(text) == 1
    if make is next_year:  # back to the present
        rig.connect()
    gained = rig.other_losses(before)
    assert gained.pop("time_jumps", 1) == 1
    gained.pop("objects_with_empty_mask", None)  # boxes of a part of a pixel
    assert gained == {counter: frames if make is stamped_inside else 1}


def test_boxes_that_never_meet_their_image(rig):
    before = rig.counters()
    told = "no boxes meet their image"
    for _ in range(200):  # more than six only where the machine is so busy that messages are lost
        if told in rig.process.output:
            break
        stamp = rig.stamp()
        rig.send(stamp, boxes=False)
        rig.send(stamp + 50_000_000, image=False)
        rig.camera.spin_for(0.12)
    assert told in rig.process.output
    assert "50 ms earlier. Let the detector copy the image's header, or allow slop:=0.05" in (
        rig.process.output
    )
    rig.camera._stamp_ns = rig.stamp() + 100_000_000
    gained = rig.other_losses(before)
    assert gained["boxes_never_paired"] == 1
