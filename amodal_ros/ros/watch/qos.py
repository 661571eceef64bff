# SPDX-License-Identifier: Apache-2.0
"""Names the publishers and subscribers that DDS does not connect to this node, and says why.

DDS itself is silent about the other side: it tells which policy did not fit, but neither who
offered it nor both profiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from amodal_ros.ros.watch.faults import Fault, FaultLog

# Made by rclpy for every node; nobody connects to them by hand.
_INFRASTRUCTURE = ("/parameter_events", "/rosout", "/clock")
_POLICIES = ("reliability", "durability", "deadline", "liveliness", "liveliness_lease_duration")


@dataclass(frozen=True)
class Endpoint:
    """One end of a topic: who it is, what it sends or takes, and how."""

    node: str
    message_type: str
    profile: QoSProfile


def mismatch_text(topic: str, publisher: Endpoint, subscriber: Endpoint) -> str | None:
    """Why a publisher and a subscriber of a topic are not connected; None if they are.

    Args:
        topic: full name.
        publisher: of the topic.
        subscriber: of the topic.
    """
    who = f"{topic}: {publisher.node} publishes to {subscriber.node}"
    if publisher.message_type != subscriber.message_type:
        return (
            f"{who}, but the types differ: published {publisher.message_type}, subscribed "
            f"{subscriber.message_type}; no message arrives. Name another topic, or convert"
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


class QosWatch:
    """Compares this node's publishers and subscriptions with what is in the ROS graph.

    Args:
        node: owns publishers and subscriptions.
        faults: each pair that is not connected is an alarm until one of the two has gone.
        watched: whether a topic, by its full name, is looked at: several watches of one node
            share its topics, so that each pair is told once.
    """

    def __init__(self, node: Node, faults: FaultLog, watched: Callable[[str], bool]) -> None:
        self._node = node
        self._faults = faults
        self._watched = watched
        self._told: set[str] = set()

    def check(self) -> None:
        """Look at the graph; call it now and then. It takes well below a millisecond."""
        found = dict(self._mismatches())
        for source in self._told - set(found):
            self._faults.clear_alarm(Fault.QOS_MISMATCH, source)
        for source, text in found.items():
            self._faults.alarm(Fault.QOS_MISMATCH, text, source)
        self._told = set(found)

    def clear(self) -> None:
        """End all alarms."""
        for source in self._told:
            self._faults.clear_alarm(Fault.QOS_MISMATCH, source)
        self._told = set()

    def _mismatches(self) -> Iterator[tuple[str, str]]:
        subscribed = self._topics(s.topic_name for s in self._node.subscriptions)
        published = self._topics(p.topic_name for p in self._node.publishers)
        graph = self._node
        for topic in subscribed:
            others = graph.get_publishers_info_by_topic(topic)
            own = self._own(graph.get_subscriptions_info_by_topic, topic) if others else []
            yield from _pairs(topic, others, own)
        for topic in published:
            others = graph.get_subscriptions_info_by_topic(topic)
            own = self._own(graph.get_publishers_info_by_topic, topic) if others else []
            yield from _pairs(topic, own, others)

    def _topics(self, names: Iterable[str]) -> list[str]:
        return sorted(
            name for name in set(names) if name not in _INFRASTRUCTURE and self._watched(name)
        )

    def _own(self, infos: Callable[[str], list[Any]], topic: str) -> list[Any]:
        name, namespace = self._node.get_name(), self._node.get_namespace()
        return [
            info
            for info in infos(topic)
            if (info.node_name, info.node_namespace) == (name, namespace)
        ]


def _pairs(topic: str, publishers: list[Any], subscribers: list[Any]) -> Iterator[tuple[str, str]]:
    for publisher in publishers:
        for subscriber in subscribers:
            text = mismatch_text(topic, _endpoint(publisher), _endpoint(subscriber))
            if text is not None:
                yield f"{bytes(publisher.endpoint_gid)!r}{bytes(subscriber.endpoint_gid)!r}", text


def _endpoint(info: Any) -> Endpoint:
    name = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
    return Endpoint(name, info.topic_type, info.qos_profile)


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
