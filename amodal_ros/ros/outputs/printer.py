# SPDX-License-Identifier: Apache-2.0
"""``ros2 run amodal_ros amodal_masks``: what is published, a line per object.

``ros2 topic echo`` shows a mask as thousands of numbers, or with ``--no-arr`` nothing at all.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence

import rclpy
from amodal_msgs.msg import AmodalMask, AmodalMaskArray
from rclpy.executors import ExternalShutdownException
from rclpy.utilities import remove_ros_args

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.masks import decode_cropped

TOPIC = "amodal/masks"


def lines(message: AmodalMaskArray) -> Iterator[str]:
    """A line for each object of a message, or one that says that there is none."""
    stamp = message.header.stamp
    head = f"{stamp.sec}.{stamp.nanosec:09d}"
    if not message.masks:
        yield f"{head} no object"
    for mask in message.masks:
        yield f"{head} {_object(mask, message)}"
    yield from (f"{head} {line}" for line in _cycles(message))


def _object(mask: AmodalMask, message: AmodalMaskArray) -> str:
    try:
        visible, amodal = decode_cropped(mask, (message.height, message.width))
    except InvalidInputError as error:
        return f"{_name(mask)}: not to be decoded: {error}"
    box = mask.amodal_box
    coasting = ", not seen by the detector" if mask.coasting else ""
    return (
        f"{_name(mask)}: {box.width}x{box.height} px at ({box.x_offset}, "
        f"{box.y_offset}), whole {amodal.area} px, visible {visible.area} px, "
        f"{mask.occlusion_rate:.0%} hidden{_occluders(mask, message)}{coasting}"
    )


def _name(mask: AmodalMask) -> str:
    return f"track {mask.track_id} {mask.class_id or mask.detection_id or '?'}"


def _occluders(mask: AmodalMask, message: AmodalMaskArray) -> str:
    """By whom, and how much of its hidden part each covers."""
    parts = [
        f"{share:.0%} by {_named(index, message)}"
        for index, share in zip(mask.occluder_indices, mask.occluder_shares, strict=False)
    ]
    if mask.unknown_share:
        parts.append(f"{mask.unknown_share:.0%} by something unknown")
    return f" ({', '.join(parts)})" if parts else ""


def _cycles(message: AmodalMaskArray) -> Iterator[str]:
    first = 0
    for size in message.cycle_sizes:
        indices = message.cycle_indices[first : first + size]
        first += size
        yield f"hide one another: {', '.join(_named(index, message) for index in indices)}"


def _named(index: int, message: AmodalMaskArray) -> str:
    """An object by its place in a message, which may be wrong."""
    if index >= len(message.masks):
        return f"object {index}, which is not there"
    return _name(message.masks[index])


def main(argv: Sequence[str] | None = None) -> int:
    """Prints until SIGINT or SIGTERM; returns the exit status."""
    command_line = sys.argv if argv is None else ["amodal_masks", *argv]
    parser = argparse.ArgumentParser(prog="amodal_masks", description="Print masks as they come.")
    parser.add_argument("--topic", default=TOPIC, help="default: %(default)s")
    arguments = parser.parse_args(remove_ros_args(command_line)[1:])

    def show(message: AmodalMaskArray) -> None:
        for line in lines(message):
            print(line, flush=True)

    rclpy.init(args=list(command_line))
    node = rclpy.create_node("amodal_masks")
    node.create_subscription(AmodalMaskArray, arguments.topic, show, 10)
    # Ctrl-C, SIGTERM, and a reader that has gone (| head).
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException, BrokenPipeError):
        while rclpy.ok():
            rclpy.spin_once(node, timeout_sec=1.0)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
