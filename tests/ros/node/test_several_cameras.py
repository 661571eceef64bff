# SPDX-License-Identifier: Apache-2.0
"""One node, several cameras, one model; over real DDS."""

from __future__ import annotations

import threading

import pytest
from amodal_msgs.msg import AmodalMaskArray
from amodal_msgs.srv import AddObject
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2DArray

from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import belongs_to
from tests.ros.ros_rig import boxes_message, image_message, picture

BOX = (20.0, 30.0, 60.0, 80.0)


class Side:
    """One of the two cameras, played by the rig's camera node."""

    def __init__(self, rig, name):
        self.camera = rig.camera
        node = rig.camera.node
        self.images = node.create_publisher(Image, f"{name}/camera/image_raw", 10)
        self.boxes = node.create_publisher(Detection2DArray, f"{name}/detections", 10)
        self.answers = rig.camera.subscribe(AmodalMaskArray, f"{name}/amodal/masks")
        masks = next(p for p in rig.node.publishers if p.topic_name == f"/{name}/amodal/masks")
        rig.camera.wait(
            lambda: (
                self.images.get_subscription_count()
                and self.boxes.get_subscription_count()
                and masks.get_subscription_count()
            ),
            f"the connection of {name}",
        )

    def send(self, boxes, seed=0):
        header = self.camera.header()
        self.images.publish(image_message(picture(seed=seed), header))
        self.boxes.publish(boxes_message(boxes, header))
        return header

    def ask(self, boxes, seed=0):
        header = self.send(boxes, seed)
        self.camera.wait(lambda: [a for a in self.answers if a.header == header], "the answer")
        return next(a for a in self.answers if a.header == header)


@pytest.fixture
def rig(make_rig):
    made = make_rig(activate=False, cameras="left, right")
    assert made.camera.change_state(1)
    assert made.camera.change_state(3)
    return made


@pytest.fixture
def sides(rig):
    return Side(rig, "left"), Side(rig, "right")


def test_each_camera_has_its_topics_and_tracks_and_all_share_the_model(rig, sides):
    left, right = sides
    first = left.ask([BOX])
    assert len(first.masks) == 1
    assert right.ask([]).masks == []  # the object is the left camera's
    assert right.ask([BOX, (100.0, 10.0, 140.0, 50.0)]).header.stamp != first.header.stamp
    assert left.ask([BOX]).masks[0].track_id == first.masks[0].track_id
    assert len(rig.predictors) == 1
    assert len(rig.predictor.images) == 3


def test_a_slow_frame_of_one_does_not_hold_up_the_other(rig, sides):
    left, right = sides
    go_on, begun = threading.Event(), threading.Event()
    predict = rig.predictor.predict

    def wait_for_large_boxes(features, boxes_xyxy=None, prior_masks=None, *, points=None, **_):
        if boxes_xyxy[0][0] == 100.0:
            begun.set()
            assert go_on.wait(30)
        return predict(features, boxes_xyxy, prior_masks, points=points)

    rig.predictor.predict = wait_for_large_boxes
    header = left.send([(100.0, 10.0, 140.0, 50.0)])
    rig.camera.wait(begun.is_set, "the slow frame")
    for _ in range(3):
        assert len(right.ask([BOX]).masks) == 1
    assert left.answers == []
    go_on.set()
    rig.camera.wait(lambda: left.answers, "the slow answer")
    assert left.answers[0].header == header


def test_faults_are_counted_and_told_for_each(rig, sides):
    left, right = sides
    left.ask([BOX, (500.0, 10.0, 540.0, 50.0)])
    right.ask([BOX])
    assert rig.counts("boxes_outside") == 1
    state = rig.camera.diagnostics("left", lambda status: "boxes_outside" in status.message)
    assert state["boxes_outside"] == "1"
    state = rig.camera.diagnostics("right", lambda status: True)
    assert state["boxes_outside"] == "0"
    assert state["tracks"] == "1"


def test_a_qos_mismatch_is_told_once_and_of_the_camera_whose_topic_it_is(rig, sides, capfd):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node = rig.camera.node
    node.create_subscription(AmodalMaskArray, "/right/amodal/masks", lambda _: None, latched)
    node.create_subscription(DiagnosticArray, "/diagnostics", lambda _: None, latched)
    rig.camera.diagnostics("left", lambda status: "/diagnostics" in status.message)
    rig.camera.diagnostics("right", lambda status: "/right/amodal/masks" in status.message)
    rig.camera.spin_for(2.5)
    assert rig.counts("qos_mismatches") == 2
    told = [line for line in capfd.readouterr().err.splitlines() if "QoS is incompatible" in line]
    assert len(told) == 2


def test_every_topic_belongs_to_one_camera(rig):
    parameters = PerceptionParameters(cameras="left,right", depth_topic="depth")
    node = rig.node
    left, right = (
        belongs_to(name, parameters, node.resolve_topic_name) for name in ("left", "right")
    )
    ends = [end.topic_name for end in (*node.publishers, *node.subscriptions)]
    for topic in (*ends, "/right/depth", "/right/camera/camera_info"):
        assert right(topic) == topic.startswith("/right/"), topic
        assert left(topic) != right(topic), topic


def test_services_of_one_camera(rig, sides):
    left, right = sides
    left.ask([])
    right.ask([])
    request = AddObject.Request(box_xyxy=list(BOX), class_id="cup")
    assert rig.camera.call(AddObject, "amodal_perception/right/add_object", request).success
    assert left.ask([]).masks == []
    assert [mask.class_id for mask in right.ask([]).masks] == ["cup"]
    assert rig.camera.call(Trigger, "amodal_perception/reset", Trigger.Request()).success
    assert right.ask([]).masks == []


def test_ten_rounds_leave_nothing_behind(rig):
    def entities():
        node = rig.node
        kinds = (node.publishers, node.subscriptions, node.timers, node.services, node.guards)
        return [len(list(kind)) for kind in kinds]

    def away():
        assert rig.camera.change_state(4)
        assert rig.camera.change_state(2)
        return entities(), threading.active_count()

    before = away()
    for _ in range(10):
        assert rig.camera.change_state(1)
        assert rig.camera.change_state(3)
        assert away() == before
