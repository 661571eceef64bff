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
from amodal_ros.ros.convert.masks import decode_mask

TOPIC = "amodal/masks"


def lines(message: AmodalMaskArray) -> Iterator[str]:
    """A line for each object of a message, or one that says that there is none."""
    stamp = message.header.stamp
    head = f"{stamp.sec}.{stamp.nanosec:09d}"
    if not message.masks:
        yield f"{head} no object"
    for mask in message.masks:
        yield f"{head} {_object(mask, (message.height, message.width))}"


def _object(mask: AmodalMask, image_hw: tuple[int, int]) -> str:
    name = mask.class_id or mask.detection_id or "?"
    try:
        visible, amodal = decode_mask(mask, image_hw)
    except InvalidInputError as error:
        return f"track {mask.track_id} {name}: not to be decoded: {error}"
    box = mask.amodal_box
    coasting = ", not seen by the detector" if mask.coasting else ""
    return (
        f"track {mask.track_id} {name}: {box.width}x{box.height} px at ({box.x_offset}, "
        f"{box.y_offset}), whole {int(amodal.sum())} px, visible {int(visible.sum())} px, "
        f"{mask.occlusion_rate:.0%} hidden{coasting}"
    )


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
