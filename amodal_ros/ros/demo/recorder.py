# SPDX-License-Identifier: Apache-2.0
"""The node `demo_recorder`: writes what the perception node answers as pictures and JSON.

Subscribes `camera/image_raw`, `amodal/masks` and `amodal/timing`; on SIGINT it writes
`overlay.mp4`, `contact_sheet.png`, `masks.json` and `summary.json` and prints the summary.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import rclpy
from amodal_msgs.msg import AmodalMaskArray
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image

from amodal_ros.annotations.amodal_coco import Truth, load_annotations
from amodal_ros.errors import AmodalError, InvalidInputError
from amodal_ros.ros.convert.images import image_to_rgb
from amodal_ros.ros.convert.masks import decode_masks
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.demo.processes import send_event
from amodal_ros.ros.demo.program import IMAGE_TOPIC, MASKS_TOPIC, TIMING_TOPIC, DemoNode, run_node
from amodal_ros.ros.demo.recording import Recording
from amodal_ros.ros.demo.results import CameraReport, print_summary
from amodal_ros.ros.outputs.publishers import read_timing

TOPICS = (IMAGE_TOPIC, MASKS_TOPIC, TIMING_TOPIC)
_DEPTH = 100
_QUIET_S = 0.7  # after the end is asked for: nothing has arrived for so long


class DemoRecorder(DemoNode):
    """Hands messages to a `Recording`."""

    def __init__(self, recording: Recording) -> None:
        super().__init__("demo_recorder")
        self._recording = recording
        self.last_message_s = time.monotonic()
        qos = QoSProfile(depth=_DEPTH)  # reliable
        self.create_subscription(Image, IMAGE_TOPIC, self._on_image, qos)
        self.create_subscription(AmodalMaskArray, MASKS_TOPIC, self._on_masks, qos)
        self.create_subscription(DiagnosticArray, TIMING_TOPIC, self._on_timing, qos)

    def record(self, ready_file: Path | None) -> None:
        """Spins until a signal has come and the topics are quiet; a second signal ends at once.

        Args:
            ready_file: Made as soon as all three topics have a publisher.
        """
        while self.signals < 2:
            rclpy.spin_once(self, timeout_sec=0.1)
            if ready_file is not None and all(map(self.count_publishers, TOPICS)):
                ready_file.touch()
                ready_file = None
            if self.signals and time.monotonic() - self.last_message_s > _QUIET_S:
                return

    def _on_image(self, message: Image) -> None:
        self.last_message_s = time.monotonic()
        try:
            picture = image_to_rgb(message)
        except InvalidInputError as error:
            self.get_logger().warning(f"image left out: {error}")
            return
        self._recording.add_image(stamp_to_ns(message.header.stamp), picture)

    def _on_masks(self, message: AmodalMaskArray) -> None:
        self.last_message_s = time.monotonic()
        try:
            objects = decode_masks(message)
        except InvalidInputError as error:
            self.get_logger().error(f"answer left out: {error}")
            return
        self._recording.add_answer(stamp_to_ns(message.header.stamp), objects)

    def _on_timing(self, message: DiagnosticArray) -> None:
        self.last_message_s = time.monotonic()
        stamp_ns = stamp_to_ns(message.header.stamp)
        self._recording.add_latency(stamp_ns, read_timing(message)["total"])


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Reads the command line without its ROS arguments."""
    parser = argparse.ArgumentParser(
        prog="amodal_demo_recorder", description="Record masks as pictures and JSON."
    )
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder to write to")
    parser.add_argument("--video-rate", type=float, default=12.0, help="of overlay.mp4, in Hz")
    parser.add_argument("--title", default="amodal_ros", help="of the contact sheet")
    parser.add_argument("--report", type=Path, help="the demo camera's report")
    parser.add_argument("--annotations", type=Path, help="true masks of the clip (amodal_coco)")
    parser.add_argument("--ready", type=Path, help="file to make when all topics are there")
    parser.add_argument("--events", action="store_true", help="tell the parent, print no table")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM, then writes the files; returns the exit status."""
    command_line = sys.argv if argv is None else ["amodal_demo_recorder", *argv]
    arguments = parse_arguments(remove_ros_args(command_line)[1:])
    try:
        truth = None
        if arguments.annotations is not None:
            truth = Truth(load_annotations(arguments.annotations))
        arguments.out.mkdir(parents=True, exist_ok=True)
    except (AmodalError, OSError) as error:
        print(f"amodal_demo_recorder: {error}", file=sys.stderr)
        return 2
    recording = Recording(arguments.out, arguments.video_rate, arguments.title)

    def work(recorder: DemoRecorder) -> int:
        recorder.get_logger().info("recording until SIGINT or SIGTERM")
        recorder.record(arguments.ready)
        report = None if arguments.report is None else CameraReport.load(arguments.report)
        summary = recording.finish(report, truth)
        if arguments.events:
            send_event("written")
        else:
            print_summary(summary)
        return 0

    return run_node(command_line, lambda: DemoRecorder(recording), work, "the results")


if __name__ == "__main__":
    sys.exit(main())
