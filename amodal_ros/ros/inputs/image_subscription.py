# SPDX-License-Identifier: Apache-2.0
"""Subscribes to images with the reliability that their publishers offer.

Best effort matches every publisher, but loses the whole of a large image with any of its
fragments. A reliable subscription loses none, and matches reliable publishers alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from amodal_ros.ros.convert.stamps import stamp_to_ns

# While both subscriptions are there, no image is lost; each comes twice.
_OVERLAP_S = 1.0
_REMEMBERED_STAMPS = 32
_RELIABILITIES = {
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
    "reliable": ReliabilityPolicy.RELIABLE,
}


def offered_reliability(node: Node, topic: str) -> ReliabilityPolicy | None:
    """Reliable if all publishers of a topic offer it, else best effort; None: no publisher."""
    offers = {info.qos_profile.reliability for info in node.get_publishers_info_by_topic(topic)}
    if not offers:
        return None
    if offers == {ReliabilityPolicy.RELIABLE}:
        return ReliabilityPolicy.RELIABLE
    return ReliabilityPolicy.BEST_EFFORT


class ImageSubscription:
    """Takes the newest stamped message of a topic; follows the publishers' reliability if told.

    Args:
        node: owns the subscription.
        message_type: of a message with a header.
        topic: its name.
        callback: gets each message, in the node's executor.
        reliability: ``automatic``, ``best_effort`` or ``reliable``.
        depth: messages that wait for the executor.
    """

    def __init__(
        self,
        node: Node,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        reliability: str,
        depth: int = 1,
    ) -> None:
        self._node = node
        self._message_type = message_type
        self._topic = topic
        self._callback = callback
        self._automatic = reliability == "automatic"
        self._depth = depth
        # Stamps that came by one subscription and not yet by the other, by subscription.
        self._unmatched: dict[int, deque[int]] = {}
        self._made = 0
        self._leaving: list[tuple[Subscription, float]] = []
        policy = _RELIABILITIES.get(reliability) or offered_reliability(node, topic)
        self._policy = policy or ReliabilityPolicy.BEST_EFFORT
        self._current = self._subscribe()

    @property
    def reliability(self) -> str:
        """What is asked of publishers at present."""
        return "reliable" if self._policy is ReliabilityPolicy.RELIABLE else "best_effort"

    def check(self) -> None:
        """Look at the publishers, and change over if they offer another reliability."""
        now_s = monotonic()
        for subscription, until_s in [entry for entry in self._leaving if entry[1] <= now_s]:
            self._leaving.remove((subscription, until_s))
            self._node.destroy_subscription(subscription)
        if not self._automatic:
            return
        offered = offered_reliability(self._node, self._topic)
        if offered is None or offered == self._policy:
            return
        self._policy = offered
        self._leaving.append((self._current, now_s + _OVERLAP_S))
        self._current = self._subscribe()
        self._node.get_logger().info(
            f"{self._topic}: subscribed as {self.reliability}, as its publishers offer it"
        )

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in (self._current, *(entry[0] for entry in self._leaving)):
            self._node.destroy_subscription(subscription)
        self._leaving.clear()

    def _subscribe(self) -> Subscription:
        self._made += 1
        self._unmatched.clear()
        return self._node.create_subscription(
            self._message_type,
            self._topic,
            partial(self._on_message, self._made),
            QoSProfile(depth=self._depth, reliability=self._policy),
        )

    def _on_message(self, number: int, message: Any) -> None:
        if not (self._leaving and self._came_by_the_other(number, message)):
            self._callback(message)

    def _came_by_the_other(self, number: int, message: Any) -> bool:
        stamp_ns = stamp_to_ns(message.header.stamp)
        for other, stamps in self._unmatched.items():
            if other != number and stamp_ns in stamps:
                stamps.remove(stamp_ns)
                return True
        self._unmatched.setdefault(number, deque(maxlen=_REMEMBERED_STAMPS)).append(stamp_ns)
        return False
