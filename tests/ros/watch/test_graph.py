# SPDX-License-Identifier: Apache-2.0
"""What the ROS graph shows of wrong wiring, on a graph of the test's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from amodal_ros.ros.watch import graph as graph_module
from amodal_ros.ros.watch.faults import Fault, FaultLog
from amodal_ros.ros.watch.graph import Endpoint, GraphWatch, mismatch_text, silence_cause

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
BOXES, YOLO = "vision_msgs/msg/Detection2DArray", "yolo_msgs/msg/DetectionArray"
RELIABLE = QoSProfile(depth=1)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class Graph:
    """A node that subscribes to /image and publishes /masks, and its graph."""

    def __init__(self, message_type=Image):
        self.subscriptions = [
            SimpleNamespace(topic_name="/image", msg_type=message_type, qos_profile=BEST_EFFORT)
        ]
        self.publishers = [
            SimpleNamespace(topic_name=topic) for topic in ("/masks", "/diagnostics")
        ]
        self.published: dict[str, list] = {"/masks": [], "/diagnostics": []}
        self.publish("/masks", "segmenter", "some/msg/Masks")

    def get_name(self):
        return "segmenter"

    def get_namespace(self):
        return "/"

    def publish(self, topic, node, message_type=IMAGE, profile=RELIABLE):
        info = SimpleNamespace(
            node_name=node,
            node_namespace="/",
            topic_type=message_type,
            qos_profile=profile,
            endpoint_gid=[len(self.published)],
        )
        self.published.setdefault(topic, []).append(info)

    def get_publishers_info_by_topic(self, topic):
        return self.published.get(topic, [])

    def get_subscriptions_info_by_topic(self, topic):
        return []

    def get_topic_names_and_types(self):
        return [(topic, [i.topic_type for i in infos]) for topic, infos in self.published.items()]

    def count_publishers(self, topic):
        return len(self.published[topic])


def alarms(graph, checks=2):
    log = FaultLog(lambda text: None)
    watch = GraphWatch(graph, log, lambda topic: True)
    for _ in range(checks):
        watch.check()
    return dict(log.alarms())


def test_one_publisher_of_each_is_as_it_should_be():
    graph = Graph()
    graph.publish("/image", "camera")
    for node in ("segmenter", "driver", "battery"):
        graph.publish("/diagnostics", node)
    assert alarms(graph) == {}


def test_two_publishers_of_an_input():
    graph = Graph()
    graph.publish("/image", "camera")
    graph.publish("/image", "bag")
    assert alarms(graph, checks=1) == {}  # one of them may just be starting again
    (text,) = alarms(graph).values()
    assert "/image has several publishers (/bag, /camera): their messages mix" in text


@pytest.mark.parametrize(
    ("rival", "words"),
    [("other", "by /other too"), ("segmenter", "It has this node's name too")],
)
def test_another_publisher_of_an_output(rival, words):
    graph = Graph()
    graph.publish("/masks", rival, "some/msg/Masks")
    found = alarms(graph)
    assert list(found) == [Fault.OUTPUT_SHARED]
    assert words in found[Fault.OUTPUT_SHARED]
    assert "namespace:=" in found[Fault.OUTPUT_SHARED]


def test_alarms_end_with_what_they_tell_of():
    graph, log = Graph(), FaultLog(lambda text: None)
    graph.publish("/image", "camera")
    graph.publish("/image", "bag")
    watch = GraphWatch(graph, log, lambda topic: True)
    watch.check()
    watch.check()
    assert log.has_alarm(Fault.INPUT_SHARED, "/image")
    graph.published["/image"].pop()
    watch.check()
    assert log.alarms() == ()


@pytest.mark.parametrize(
    ("published", "subscribed", "advice"),
    [
        (YOLO, BOXES, "detections_type:=yolo_msgs"),
        (BOXES, YOLO, "detections_type:=vision_msgs"),
        (COMPRESSED, IMAGE, "image_transport:=compressed"),
        (IMAGE, COMPRESSED, "image_transport:=raw"),
        ("std_msgs/msg/String", BOXES, "Name another topic, or convert"),
    ],
)
def test_another_type_names_the_parameter(published, subscribed, advice):
    text = mismatch_text(
        "/t", Endpoint("/a", published, RELIABLE), Endpoint("/b", subscribed, RELIABLE)
    )
    assert f"published {published}, subscribed {subscribed}" in text
    assert advice in text


def test_what_a_middleware_connects_is_no_mismatch(monkeypatch):
    """Zenoh connects every QoS with every other: what fits is asked of it, not known by rule."""
    reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    kind = "sensor_msgs/msg/Image"
    pair = Endpoint("/camera", kind, best_effort), Endpoint("/node", kind, reliable)
    assert "QoS is incompatible (reliability)" in mismatch_text("/image", *pair)
    as_zenoh = (graph_module.QoSCompatibility.OK, "")
    monkeypatch.setattr(graph_module, "qos_check_compatible", lambda *_: as_zenoh)
    assert mismatch_text("/image", *pair) is None


@pytest.mark.parametrize(
    ("rmw", "words"),
    [("rmw_fastrtps_cpp", "--ipc=host"), ("rmw_cyclonedds_cpp", "a firewall or the network")],
)
def test_a_publisher_that_is_connected_and_delivers_nothing(monkeypatch, rmw, words):
    monkeypatch.setattr(graph_module, "get_rmw_implementation_identifier", lambda: rmw)
    graph = Graph()
    graph.publish("/image", "camera")
    text = silence_cause(graph, "/image", came_before=False)
    assert "/camera is connected, but nothing arrives" in text
    assert words in text
    assert "has stopped sending" in silence_cause(graph, "/image", came_before=True)


def test_silence_where_nobody_publishes():
    graph = Graph()
    assert "ROS_DOMAIN_ID" in silence_cause(graph, "/image", came_before=False)
    graph.publish("/camera/image_raw", "camera")
    text = silence_cause(graph, "/image", came_before=False)
    assert text == f"nobody publishes there. {IMAGE} comes on /camera/image_raw"


def test_silence_where_the_topic_is_that_of_the_other_transport():
    graph = Graph()
    graph.subscriptions[0].topic_name = "/image/compressed"
    text = silence_cause(graph, "/image/compressed", came_before=False)
    assert "image_transport:=compressed" in text
    graph = Graph(CompressedImage)
    graph.publish("/image", "camera")
    assert "another type or QoS" in silence_cause(graph, "/image", came_before=False)
