# SPDX-License-Identifier: Apache-2.0
"""Malformed messages over DDS to a node process: hundreds in the fast tier, 10,000 in the slow."""

from __future__ import annotations

import random

import pytest
from amodal_msgs.srv import AddObject, SegmentAmodal
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger

from tests.ros.faults import malformed
from tests.ros.faults.fault_rig import BOX
from tests.ros.ros_rig import boxes_message, image_message, picture

PARAMETERS = {
    "depth_topic": "camera/depth",
    "camera_info_topic": "camera/camera_info",
    "max_objects": 8,
    "sync_timeout": 0.5,
    "max_coast": 0.0,
}
NUMBERS = [
    pytest.param(200, id="some"),
    pytest.param(10_000, id="all", marks=pytest.mark.slow),
]


def check_alive(rig, before: dict[str, float], number: int, sent: int) -> None:
    """Between messages too the node answers; the camera sends on."""
    if number % 100 == sent - 1:
        assert len(rig.camera.ask(picture(), [BOX]).masks) == 1, before
        rig.camera.answers.clear()


@pytest.mark.parametrize("number", NUMBERS)
def test_images(rig, number):
    before, dice = rig.counters(), random.Random(1)
    for index in range(number):
        message = malformed.image(dice)
        message.header = rig.camera.header()
        rig.camera.images.publish(message)
        rig.camera.boxes.publish(boxes_message([(1, 1, 6, 5)], message.header))
        rig.camera.spin_for(0.005)
        check_alive(rig, before, index, 100)
    gained = rig.gained(before)
    assert gained["dropped_bad_image"] > 0
    assert "dropped_engine_error" not in gained


@pytest.mark.parametrize("number", NUMBERS)
def test_compressed_images(rig, number):
    before, dice = rig.counters(), random.Random(5)
    assert rig.camera.set_parameters(image_transport="compressed") == []
    images = rig.camera.node.create_publisher(CompressedImage, "camera/image_raw/compressed", 5)
    rig.camera.wait(images.get_subscription_count, "the node")
    for _ in range(number):
        message = malformed.compressed_image(dice)
        message.header = rig.camera.header()
        images.publish(message)
        rig.camera.boxes.publish(boxes_message([(1, 1, 6, 5)], message.header))
        rig.camera.spin_for(0.005)
    assert rig.camera.set_parameters(image_transport="raw") == []
    rig.camera.node.destroy_publisher(images)
    rig.connect()
    gained = rig.gained(before)
    assert gained["dropped_bad_image"] > number / 20
    assert "dropped_engine_error" not in gained


@pytest.mark.parametrize("number", NUMBERS)
def test_headers(rig, number):
    before, dice = rig.counters(), random.Random(6)
    for index in range(number):
        of_image, of_boxes = malformed.header(dice), malformed.header(dice)
        rig.camera.images.publish(image_message(malformed.PIXELS, of_image))
        rig.camera.boxes.publish(
            boxes_message([(1, 1, 6, 5)], dice.choice((of_image, of_image, of_boxes)))
        )
        rig.camera.spin_for(0.005)
        if index % 100 == 99:
            rig.connect()  # now, after stamps of any year
    rig.connect()
    gained = rig.gained(before)
    assert gained["dropped_unstamped"] > 0
    assert gained["time_jumps"] > 0
    assert "dropped_engine_error" not in gained


@pytest.mark.parametrize("number", NUMBERS)
def test_boxes(rig, number):
    before, dice = rig.counters(), random.Random(2)
    for index in range(number):
        message = malformed.detections(dice)
        message.header = rig.camera.header()
        rig.camera.images.publish(image_message(malformed.PIXELS, message.header))
        rig.camera.boxes.publish(message)
        rig.camera.spin_for(0.005)
        check_alive(rig, before, index, 100)
    gained = rig.gained(before)
    assert gained["boxes_not_finite"] > 0
    assert "dropped_engine_error" not in gained


@pytest.mark.parametrize("number", NUMBERS)
def test_depth_and_camera_info(rig, number):
    dice = random.Random(3)
    depths = rig.camera.node.create_publisher(Image, "camera/depth", 5)
    infos = rig.camera.node.create_publisher(CameraInfo, "camera/camera_info", 5)
    rig.camera.wait(
        lambda: depths.get_subscription_count() and infos.get_subscription_count(), "the node"
    )
    before = rig.counters()
    for index in range(number):
        depth, info = malformed.image(dice), malformed.camera_info(dice)
        header = rig.camera.header()
        depth.header = info.header = header
        depths.publish(depth)
        infos.publish(info)
        rig.camera.images.publish(image_message(malformed.PIXELS, header))
        rig.camera.boxes.publish(boxes_message([(1, 1, 6, 5)], header))
        rig.camera.spin_for(0.005)
        check_alive(rig, before, index, 100)
    assert "dropped_engine_error" not in rig.gained(before)
    rig.camera.node.destroy_publisher(depths)
    rig.camera.node.destroy_publisher(infos)


@pytest.mark.parametrize("number", NUMBERS)
def test_service_requests(rig, number):
    dice, answers = random.Random(4), []
    for _ in range(number):
        request = malformed.segment_request(dice)
        response = rig.camera.call(SegmentAmodal, "amodal_perception/segment", request)
        answers.append(response.success)
        assert response.message
    assert any(answers)
    assert not all(answers)
    assert "internal error" not in rig.process.output


@pytest.mark.parametrize("number", NUMBERS)
def test_requests_to_add_an_object(rig, number):
    dice, answers = random.Random(7), []
    rig.counters()  # points need an image
    for _ in range(number):
        request = malformed.add_object_request(dice)
        response = rig.camera.call(AddObject, "amodal_perception/add_object", request)
        answers.append(response.success)
        assert response.message
        assert response.success == (response.track_id >= 0)
        if response.success:
            rig.camera.call(Trigger, "amodal_perception/reset", Trigger.Request())
    assert any(answers)
    assert not all(answers)
    assert "internal error" not in rig.process.output
    assert len(rig.camera.ask(picture(), [BOX]).masks) == 1
