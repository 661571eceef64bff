#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Says what to take first: python3 examples/take_first.py [CLASS].

With a class: how to get at one of that class, what lies on it first. Without: the objects that
nothing lies on, the one first that frees most of the others.
"""

import contextlib
import sys

import rclpy
from amodal_msgs.msg import AmodalMask, AmodalMaskArray
from rclpy.executors import ExternalShutdownException

IN_THE_WAY = 0.05  # an occluder that hides less of an object's hidden part may stay
FREE = 0.02  # hidden by less, an object is free


def in_the_way(mask: AmodalMask) -> list[int]:
    """Places in the message of what must go before this object."""
    if mask.occlusion_rate < FREE:
        return []
    pairs = zip(mask.occluder_indices, mask.occluder_shares, strict=True)
    return [int(place) for place, share in pairs if share >= IN_THE_WAY]


def order_to(masks: list[AmodalMask], place: int) -> list[int]:
    """The object last, before it all that lies on it; of a cycle each once."""
    order: list[int] = []
    begun: set[int] = set()

    def visit(current: int) -> None:
        begun.add(current)
        for other in in_the_way(masks[current]):
            if other not in begun:
                visit(other)
        order.append(current)

    visit(place)
    return order


def free_ones(masks: list[AmodalMask]) -> list[int]:
    """Places of the objects that nothing lies on, the one first that hides most of the others."""
    frees = [0.0] * len(masks)
    for mask in masks:
        for place, share in zip(mask.occluder_indices, mask.occluder_shares, strict=True):
            frees[int(place)] += mask.occlusion_rate * float(share)
    free = [place for place, mask in enumerate(masks) if not in_the_way(mask)]
    return sorted(free, key=lambda place: -frees[place])


def advice(message: AmodalMaskArray, wanted: str = "") -> str:
    """One line."""
    masks = list(message.masks)
    names = [f"{mask.class_id or '?'} {mask.track_id}" for mask in masks]
    if not wanted:
        return "free: " + (", ".join(names[k] for k in free_ones(masks)) or "nothing")
    ways = [order_to(masks, k) for k, mask in enumerate(masks) if mask.class_id == wanted]
    if not ways:
        return f"no {wanted} in sight"
    return "take " + ", then ".join(names[k] for k in min(ways, key=len))


if __name__ == "__main__":
    rclpy.init()
    node, asked = rclpy.create_node("take_first"), " ".join(sys.argv[1:])
    node.create_subscription(
        AmodalMaskArray,
        "amodal/masks",
        lambda message: print(advice(message, asked), flush=True),
        10,
    )
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):  # Ctrl-C, SIGTERM
        while rclpy.ok():
            rclpy.spin_once(node, timeout_sec=1.0)
    rclpy.try_shutdown()
