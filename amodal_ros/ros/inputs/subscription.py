# SPDX-License-Identifier: Apache-2.0
"""Subscribes to any input with the QoS that its publishers offer.

Best effort matches every publisher, but loses the whole of a large message with any of its
fragments, and of a small one now and then on a busy machine. A reliable subscription loses none,
and matches reliable publishers alone. A transient-local one gets what was published before it,
and matches transient-local publishers alone.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from amodal_ros.ros.convert.stamps import stamp_to_ns

# While both subscriptions are there, no message is lost; each comes twice.
_OVERLAP_S = 1.0
_REMEMBERED_STAMPS = 32


class Offer(NamedTuple):
    """The strictest QoS that every publisher of a topic satisfies."""

    reliable: bool = False
    latched: bool = False

    def __str__(self) -> str:
        words = "reliable" if self.reliable else "best_effort"
        return f"{words}, transient_local" if self.latched else words

    def profile(self, depth: int) -> QoSProfile:
        """A subscription's profile that asks for it."""
        reliability, durability = ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE
        if self.reliable:
            reliability = ReliabilityPolicy.RELIABLE
        if self.latched:
            durability = DurabilityPolicy.TRANSIENT_LOCAL
        return QoSProfile(depth=depth, reliability=reliability, durability=durability)


def offered_qos(node: Node, topic: str, reliability: str) -> Offer | None:
    """What can be asked of a topic's publishers at present; None: there is none.

    Args:
        node: of the graph.
        topic: its name.
        reliability: ``automatic``: as all of them offer it; ``reliable`` or ``best_effort``: so.
    """
    profiles = [info.qos_profile for info in node.get_publishers_info_by_topic(topic)]
    if not profiles:
        return None
    reliable = all(profile.reliability is ReliabilityPolicy.RELIABLE for profile in profiles)
    if reliability != "automatic":
        reliable = reliability == "reliable"
    # Only a reliable subscription is sent what was published before it.
    latched = reliable and all(
        profile.durability is DurabilityPolicy.TRANSIENT_LOCAL for profile in profiles
    )
    return Offer(reliable, latched)


class InputSubscription:
    """Takes each stamped message of a topic once; follows what its publishers offer."""

    def __init__(
        self,
        node: Node,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        reliability: str = "automatic",
        depth: int = 1,
    ) -> None:
        self._node = node
        self._message_type = message_type
        self._topic = topic
        self._callback = callback
        self._reliability = reliability
        self._depth = depth
        # How often each subscription brought the last messages, by stamp.
        self._brought: OrderedDict[int, Counter[int]] = OrderedDict()
        self._made = 0
        self._leaving: list[tuple[Subscription, float]] = []
        nobody_publishes = Offer(reliable=reliability == "reliable")
        self._asked = offered_qos(node, self._topic, reliability) or nobody_publishes
        self._current = self._subscribe()

    @property
    def topic(self) -> str:
        """Its full name."""
        return str(self._node.resolve_topic_name(self._topic))

    @property
    def reliability(self) -> str:
        """What is asked of publishers at present."""
        return "reliable" if self._asked.reliable else "best_effort"

    def check(self) -> None:
        """Look at the publishers, and change over if they offer something else."""
        now_s = monotonic()
        for subscription, until_s in [entry for entry in self._leaving if entry[1] <= now_s]:
            self._leaving.remove((subscription, until_s))
            self._node.destroy_subscription(subscription)
            if not self._leaving:
                self._brought.clear()
        offered = offered_qos(self._node, self._topic, self._reliability)
        if offered is None or offered == self._asked:
            return
        self._asked = offered
        self._leaving.append((self._current, now_s + _OVERLAP_S))
        self._current = self._subscribe()
        self._node.get_logger().info(
            f"{self.topic}: subscribed as {offered}, as its publishers offer it"
        )

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in (self._current, *(entry[0] for entry in self._leaving)):
            self._node.destroy_subscription(subscription)
        self._leaving.clear()

    def _subscribe(self) -> Subscription:
        self._made += 1
        return self._node.create_subscription(
            self._message_type,
            self._topic,
            partial(self._on_message, self._made),
            self._asked.profile(self._depth),
        )

    def _on_message(self, number: int, message: Any) -> None:
        if not self._came_by_another(number, stamp_to_ns(message.header.stamp)):
            self._callback(message)

    def _came_by_another(self, number: int, stamp_ns: int) -> bool:
        brought = self._brought.setdefault(stamp_ns, Counter())
        while len(self._brought) > _REMEMBERED_STAMPS:
            self._brought.popitem(last=False)
        brought[number] += 1
        others = max((times for other, times in brought.items() if other != number), default=0)
        return bool(self._leaving) and brought[number] <= others
