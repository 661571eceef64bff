# SPDX-License-Identifier: Apache-2.0
"""Publishers and subscribers that DDS does not connect are named, with profiles and advice."""

from __future__ import annotations

import time

import pytest
import rclpy
from amodal_msgs.msg import AmodalMaskArray
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String
from vision_msgs.msg import Detection2DArray

PARAMETERS = {"image_reliability": "reliable"}
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def stranger(rig):
    """A node of another participant that has found the node under test.

    On a busy machine DDS now and then leaves two participants unknown to each other; a new one is
    found then. What the node says of its graph is no matter of that.
    """
    for _ in range(4):
        # Within one context DDS refuses a second type on a topic.
        context = Context()
        rclpy.init(context=context)
        node = Node("stranger", namespace="/left", context=context)
        deadline = time.monotonic() + 10.0
        while "amodal_perception" not in node.get_node_names() and time.monotonic() < deadline:
            rig.camera.spin_for(0.1)
        found = "amodal_perception" in node.get_node_names()
        if found:
            yield node
        node.destroy_node()
        rclpy.shutdown(context=context)
        if found:
            return
    raise TimeoutError("DDS has not made the nodes known to each other, four times")


def gained(rig, before) -> dict[str, int]:
    """Counters that grew, without the silence of a camera that waits on a busy machine."""
    return {n: times for n, times in rig.gained(before).items() if n != "camera_silences"}


def told(rig, start: str) -> str:
    """The line that begins so; a blank line of nobody else does."""
    rig.wait_output(start, 30.0)
    (line,) = [line for line in rig.process.output.splitlines() if start in line]
    return line


def test_an_image_publisher_that_is_only_best_effort(rig, stranger):
    before = rig.counters()
    publisher = stranger.create_publisher(Image, "/camera/image_raw", BEST_EFFORT)
    line = told(rig, "/camera/image_raw: /left/stranger publishes to /amodal_perception")
    assert "their QoS is incompatible (reliability); no message arrives" in line
    assert "Published: best_effort, volatile, automatic" in line
    assert "Subscribed: reliable, volatile, automatic" in line
    assert "image_reliability:=automatic" in line
    assert gained(rig, before) == {"qos_mismatches": 1}
    stranger.destroy_publisher(publisher)


def test_a_subscriber_that_asks_for_what_was_before_it(rig, stranger):
    before = rig.counters()
    stranger.create_subscription(AmodalMaskArray, "/amodal/masks", lambda message: None, LATCHED)
    line = told(rig, "/amodal/masks: /amodal_perception publishes to /left/stranger")
    assert "incompatible (durability)" in line
    assert "subscribe with volatile durability" in line
    # It lasts, and is told and counted once.
    rig.camera.spin_for(2.5)
    assert gained(rig, before) == {"qos_mismatches": 1}
    told(rig, "/amodal/masks: /amodal_perception publishes to /left/stranger")


def test_boxes_of_another_type(rig, stranger):
    stranger.create_publisher(String, "/detections", 10)
    line = told(rig, "/detections: /left/stranger publishes to /amodal_perception")
    assert "published std_msgs/msg/String, subscribed vision_msgs/msg/Detection2DArray" in line


def test_another_node_of_an_output_and_of_an_input(rig, stranger):
    before = rig.counters()
    masks = stranger.create_publisher(AmodalMaskArray, "/amodal/masks", 5)
    boxes = stranger.create_publisher(Detection2DArray, "/detections", 5)
    assert "by /left/stranger too" in told(rig, "/amodal/masks is published")
    assert "/left/stranger, /test_camera" in told(rig, "/detections has several publishers")
    stranger.destroy_publisher(masks)
    stranger.destroy_publisher(boxes)
    rig.camera.diagnostics(
        "camera",
        lambda s: not any("shared" in v.key and v.key.startswith("alarm") for v in s.values),
    )
    assert gained(rig, before) == {"inputs_shared": 1, "outputs_shared": 1}


def test_what_fits_is_not_mentioned(rig, stranger):
    before = rig.counters()
    stranger.create_subscription(AmodalMaskArray, "/amodal/masks", lambda _: None, BEST_EFFORT)
    latched = stranger.create_publisher(Image, "/camera/image_raw", LATCHED)
    rig.camera.spin_for(2.5)
    stranger.destroy_publisher(latched)
    assert set(gained(rig, before)) <= {"inputs_shared"}
