# SPDX-License-Identifier: Apache-2.0
"""Inputs are subscribed as their publishers offer them, and every message comes once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection2DArray

from amodal_ros.ros.inputs.subscription import InputSubscription, Offer, offered_qos
from tests.ros.ros_rig import Camera

RELIABLE = QoSProfile(depth=5)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LOSSY_LATCHED = QoSProfile(
    depth=5,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
    reliability=ReliabilityPolicy.BEST_EFFORT,
)


@pytest.mark.parametrize(
    ("asked", "publishers", "offer"),
    [
        ("automatic", [], None),
        ("automatic", [RELIABLE, RELIABLE], Offer(reliable=True)),
        ("automatic", [RELIABLE, BEST_EFFORT], Offer()),
        ("automatic", [LATCHED], Offer(reliable=True, latched=True)),
        ("automatic", [LATCHED, RELIABLE], Offer(reliable=True)),
        ("automatic", [LOSSY_LATCHED], Offer()),
        ("best_effort", [LATCHED], Offer()),
        ("reliable", [BEST_EFFORT], Offer(reliable=True)),
    ],
)
def test_what_all_publishers_offer(asked, publishers, offer):
    infos = [SimpleNamespace(qos_profile=profile) for profile in publishers]
    graph = SimpleNamespace(get_publishers_info_by_topic=lambda topic: infos)
    assert offered_qos(graph, "a_topic", asked) == offer


@pytest.fixture
def camera(context):
    camera = Camera(context, "unused")
    yield camera
    camera.close()


@pytest.fixture(params=[Image, CameraInfo, Detection2DArray])
def stream(request, camera):
    """A subscription, its messages, and what makes publishers for it."""
    received: list = []
    subscription = InputSubscription(
        camera.node, request.param, "a_topic", received.append, depth=5
    )
    yield (
        subscription,
        received,
        lambda qos: camera.node.create_publisher(request.param, "a_topic", qos),
    )
    subscription.close()


def test_reliability_follows_the_publishers(camera, stream):
    subscription, received, publish = stream
    assert subscription.reliability == "best_effort"  # nobody publishes yet
    reliable = publish(RELIABLE)
    camera.wait(lambda: followed(subscription) == "reliable", "the change")
    exchange(camera, reliable, received)
    best_effort = publish(BEST_EFFORT)
    camera.wait(lambda: followed(subscription) == "best_effort", "the change back")
    exchange(camera, best_effort, received)
    exchange(camera, reliable, received)


def test_what_was_published_before_arrives_once(camera, stream):
    subscription, received, publish = stream
    latched = publish(LATCHED)
    message = latched.msg_type(header=camera.header())
    latched.publish(message)
    camera.wait(lambda: followed(subscription) and received, "the message of before")
    camera.spin_for(0.3)
    exchange(camera, latched, received)
    assert received.count(message) == 1


def followed(subscription):
    subscription.check()
    return subscription.reliability


def exchange(camera, publisher, received):
    """Every message comes, and comes once, also while the subscription changes over."""
    camera.wait(publisher.get_subscription_count, "the subscription")
    camera.spin_for(0.3)
    for _ in range(3):
        header = camera.header()
        publisher.publish(publisher.msg_type(header=header))
        camera.wait(lambda h=header: h.stamp in [m.header.stamp for m in received], "the message")
        camera.spin_for(0.1)
    assert len({(m.header.stamp.sec, m.header.stamp.nanosec) for m in received}) == len(received)
