# SPDX-License-Identifier: Apache-2.0
"""What the demo's nodes have in common: topics, signals, start and end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import TypeVar

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from amodal_ros.errors import AmodalError

IMAGE_TOPIC = "camera/image_raw"
DETECTIONS_TOPIC = "detections"
MASKS_TOPIC = "amodal/masks"
TIMING_TOPIC = "amodal/timing"


class DemoNode(Node):
    """A node that counts the signals which ask it to end."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.signals = 0

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self.signals > 0


NodeT = TypeVar("NodeT", bound=DemoNode)


def run_node(
    command_line: Sequence[str],
    make_node: Callable[[], NodeT],
    work: Callable[[NodeT], int],
    written: str,
) -> int:
    """Runs a node's work between the start and the end of ROS.

    Returns:
        The exit status: what `work` returned, or 1 after an error, which is logged.
    """
    rclpy.init(args=list(command_line), signal_handler_options=SignalHandlerOptions.NO)
    node = make_node()

    def count(*_: object) -> None:
        node.signals += 1

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, count)
    try:
        return work(node)
    except AmodalError as error:
        node.get_logger().error(str(error))
        return 1
    except OSError as error:
        node.get_logger().error(f"{written} cannot be written: {error}")
        return 1
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
