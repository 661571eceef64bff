# SPDX-License-Identifier: Apache-2.0
"""Looks at the ROS graph: who is not connected to this node and why, and who is there twice.

DDS itself is silent about the other side: it tells which policy did not fit, but neither who
offered it nor both profiles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rclpy import get_rmw_implementation_identifier
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from amodal_ros.ros.watch.faults import Fault, FaultLog

# Made by rclpy for every node; nobody connects to them by hand.
_INFRASTRUCTURE = ("/parameter_events", "/rosout", "/clock")
# Topics that many nodes publish, by the end of their names.
_OF_MANY = ("tf", "tf_static")
_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_BOXES, _YOLO = "vision_msgs/msg/Detection2DArray", "yolo_msgs/msg/DetectionArray"
# What to do, by the types published and subscribed.
_TYPE_ADVICE = {
    (_YOLO, _BOXES): "Set detections_type:=yolo_msgs",
    (_BOXES, _YOLO): "Set detections_type:=vision_msgs",
    (_COMPRESSED, _IMAGE): "Set image_transport:=compressed; of depth, depth_transport",
    (_IMAGE, _COMPRESSED): "Set image_transport:=raw; of depth, depth_transport",
}
_POLICIES = ("reliability", "durability", "deadline", "liveliness", "liveliness_lease_duration")


@dataclass(frozen=True)
class Endpoint:
    """One end of a topic: who it is, what it sends or takes, and how."""

    node: str
    message_type: str
    profile: QoSProfile


def mismatch_text(topic: str, publisher: Endpoint, subscriber: Endpoint) -> str | None:
    """Why a publisher and a subscriber of a topic are not connected; None if they are."""
    who = f"{topic}: {publisher.node} publishes to {subscriber.node}"
    if publisher.message_type != subscriber.message_type:
        return (
            f"{who}, but the types differ: published {publisher.message_type}, subscribed "
            f"{subscriber.message_type}; no message arrives. "
            + _TYPE_ADVICE.get(
                (publisher.message_type, subscriber.message_type), "Name another topic, or convert"
            )
        )
    compatible, _ = qos_check_compatible(publisher.profile, subscriber.profile)
    if compatible != QoSCompatibility.ERROR:
        return None
    policies = [
        policy
        for policy in _POLICIES
        if not _fits(policy, getattr(publisher.profile, policy), subscriber.profile)
    ]
    return (
        f"{who}, but their QoS is incompatible ({', '.join(policies)}); no message arrives. "
        f"Published: {_describe(publisher.profile)}. Subscribed: "
        f"{_describe(subscriber.profile)}. {_advice(policies)}"
    )


class GraphWatch:
    """Compares this node's publishers and subscriptions with what is in the ROS graph.

    An alarm lasts until what it tells of has gone: a pair that is not connected; an input with
    several publishers; an output that another node publishes too.

    Args:
        node: owns publishers and subscriptions.
        faults: where the alarms go.
        watched: whether a topic, by its full name, is looked at: several watches of one node
            share its topics, so that each thing is told once.
    """

    def __init__(self, node: Node, faults: FaultLog, watched: Callable[[str], bool]) -> None:
        self._node = node
        self._faults = faults
        self._watched = watched
        self._told: set[tuple[Fault, str]] = set()
        self._shared_before: set[tuple[Fault, str]] = set()

    def check(self) -> None:
        """Look at the graph; call it now and then. It takes well below a millisecond."""
        found = {(Fault.QOS_MISMATCH, source): text for source, text in self._mismatches()}
        shared = dict(self._shared())
        # A node that starts again is in the graph twice for a moment.
        found.update((key, text) for key, text in shared.items() if key in self._shared_before)
        self._shared_before = set(shared)
        for fault, source in self._told - set(found):
            self._faults.clear_alarm(fault, source)
        for (fault, source), text in found.items():
            self._faults.alarm(fault, text, source)
        self._told = set(found)

    def clear(self) -> None:
        """End all alarms."""
        for fault, source in self._told:
            self._faults.clear_alarm(fault, source)
        self._told = set()

    def _mismatches(self) -> Iterator[tuple[str, str]]:
        graph = self._node
        for topic in self._subscribed():
            others = graph.get_publishers_info_by_topic(topic)
            own = self._own(graph.get_subscriptions_info_by_topic(topic)) if others else []
            yield from _pairs(topic, others, own)
        for topic in self._published():
            others = graph.get_subscriptions_info_by_topic(topic)
            own = self._own(graph.get_publishers_info_by_topic(topic)) if others else []
            yield from _pairs(topic, own, others)

    def _shared(self) -> Iterator[tuple[tuple[Fault, str], str]]:
        for topic in self._subscribed():
            if topic.rpartition("/")[2] in _OF_MANY:
                continue
            names = _node_names(self._node.get_publishers_info_by_topic(topic))
            if sum(names.values()) > 1:
                yield (Fault.INPUT_SHARED, topic), shared_input_text(topic, names)
        own = _name(self._node.get_namespace(), self._node.get_name())
        for topic in self._published():
            if topic == "/diagnostics":
                continue  # everybody's
            names = _node_names(self._node.get_publishers_info_by_topic(topic))
            names[own] -= 1
            if sum(names.values()) > 0:
                yield (Fault.OUTPUT_SHARED, topic), shared_output_text(topic, own, +names)

    def _subscribed(self) -> list[str]:
        return self._topics(s.topic_name for s in self._node.subscriptions)

    def _published(self) -> list[str]:
        return self._topics(p.topic_name for p in self._node.publishers)

    def _topics(self, names: Iterable[str]) -> list[str]:
        return sorted(
            name for name in set(names) if name not in _INFRASTRUCTURE and self._watched(name)
        )

    def _own(self, infos: list[Any]) -> list[Any]:
        name, namespace = self._node.get_name(), self._node.get_namespace()
        return [i for i in infos if (i.node_name, i.node_namespace) == (name, namespace)]


def shared_input_text(topic: str, publishers: Counter[str]) -> str:
    """What it means that a topic has several publishers, counted by node."""
    return (
        f"{topic} has several publishers ({_counted(publishers)}): their messages mix. Stop all "
        "but one, or remap the others to topics of their own"
    )


def shared_output_text(topic: str, own: str, others: Counter[str]) -> str:
    """What it means that other nodes, counted by name, publish an output of this node."""
    advice = "Stop it, or give one of the two a namespace (namespace:=...)"
    if own in others:
        advice = "It has this node's name too. " + advice
    return (
        f"{topic} is published by {_counted(others)} too: subscribers get both answers mixed. "
        f"{advice}"
    )


def silence_cause(node: Node, topic: str, came_before: bool) -> str:
    """Why no message arrives on an input, as far as the graph tells, and what to do."""
    publishers = [_endpoint(info) for info in node.get_publishers_info_by_topic(topic)]
    own = {s.topic_name: s for s in node.subscriptions}.get(topic)
    if own is None:
        return "it is not subscribed"
    message_type = _type_name(own.msg_type)
    fitting = [
        publisher
        for publisher in publishers
        if publisher.message_type == message_type
        and qos_check_compatible(publisher.profile, own.qos_profile)[0] != QoSCompatibility.ERROR
    ]
    if fitting:
        return _connected_cause(fitting[0].node, came_before)
    if publishers:
        return f"{publishers[0].node} publishes there, but with another type or QoS"
    return _nobody_cause(node, topic, message_type)


def _connected_cause(publisher: str, came_before: bool) -> str:
    if came_before:
        return f"{publisher} is connected and has stopped sending"
    text = (
        f"{publisher} is connected, but nothing arrives: does it send (ros2 topic hz, beside it)?"
    )
    if "fastrtps" in get_rmw_implementation_identifier():
        return text + (
            " If so, it runs under another user, or in a container with the host's network but "
            "without its memory: run both as one user, start the container with --ipc=host, or "
            "set FASTDDS_BUILTIN_TRANSPORTS=UDPv4 for both"
        )
    return f"{text} If so, a firewall or the network between the two drops the messages"


def _nobody_cause(node: Node, topic: str, message_type: str) -> str:
    candidates = [
        name
        for name, types in node.get_topic_names_and_types()
        if message_type in types and name != topic and node.count_publishers(name)
    ]
    text = "nobody publishes there"
    if topic.endswith("/compressed") and message_type == _IMAGE:
        text += "; compressed images need image_transport:=compressed"
    if candidates:
        return f"{text}. {message_type} comes on {', '.join(sorted(candidates)[:5])}"
    return f"{text}: is it running, with this ROS_DOMAIN_ID and RMW_IMPLEMENTATION?"


def _type_name(message_type: Any) -> str:
    package = message_type.__module__.partition(".")[0]
    return f"{package}/msg/{message_type.__name__}"


def _node_names(infos: list[Any]) -> Counter[str]:
    return Counter(_name(info.node_namespace, info.node_name) for info in infos)


def _counted(names: Counter[str]) -> str:
    return ", ".join(
        name if times == 1 else f"{name} {times} times" for name, times in sorted(names.items())
    )


def _name(namespace: str, name: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"


def _pairs(topic: str, publishers: list[Any], subscribers: list[Any]) -> Iterator[tuple[str, str]]:
    for publisher in publishers:
        for subscriber in subscribers:
            text = mismatch_text(topic, _endpoint(publisher), _endpoint(subscriber))
            if text is not None:
                yield f"{bytes(publisher.endpoint_gid)!r}{bytes(subscriber.endpoint_gid)!r}", text


def _endpoint(info: Any) -> Endpoint:
    return Endpoint(_name(info.node_namespace, info.node_name), info.topic_type, info.qos_profile)


def _fits(policy: str, offered: Any, subscribed: QoSProfile) -> bool:
    """Whether one policy of a publisher satisfies the subscriber, all others being equal."""
    asked = QoSProfile(depth=1, **{name: getattr(subscribed, name) for name in _POLICIES})
    alone = QoSProfile(depth=1, **{name: getattr(subscribed, name) for name in _POLICIES})
    setattr(alone, policy, offered)
    return bool(qos_check_compatible(alone, asked)[0] != QoSCompatibility.ERROR)


def _describe(profile: QoSProfile) -> str:
    words = [profile.reliability.name, profile.durability.name, profile.liveliness.name]
    text = ", ".join(word.lower() for word in words)
    deadline_s = profile.deadline.nanoseconds / 1e9
    return f"{text}, deadline {deadline_s:g} s" if deadline_s < 1e9 else text


def _advice(policies: list[str]) -> str:
    advice = {
        "reliability": "subscribe with best effort (this node: image_reliability:=automatic), "
        "or publish reliably",
        "durability": "subscribe with volatile durability, or publish transient local",
        "deadline": "ask for no deadline, or offer one that is as short",
    }
    other = "give both ends the same liveliness"
    texts = dict.fromkeys(advice.get(policy, other) for policy in policies)
    joined = "; ".join(texts)
    return f"What to do: {joined}"
