# SPDX-License-Identifier: Apache-2.0
"""The node `demo_camera`: publishes pictures and boxes as a camera and a detector would.

`camera/image_raw` (sensor_msgs/Image, rgb8) and `detections` (vision_msgs/Detection2DArray with
the image's header; one for each image, empty where the frame has no box). Objects of `--box` are
given to the node by its service `~/add_object` instead, before the first image.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rclpy
from amodal_msgs.msg import AmodalMaskArray
from amodal_msgs.srv import AddObject
from rclpy.qos import QoSProfile
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from amodal_ros.errors import AmodalError, InvalidInputError
from amodal_ros.ros.convert.box_plan import PromptBox, detections_message
from amodal_ros.ros.convert.images import rgb_to_image
from amodal_ros.ros.convert.stamps import ns_to_stamp, stamp_to_ns
from amodal_ros.ros.demo.arguments import add_source_arguments
from amodal_ros.ros.demo.processes import send_event
from amodal_ros.ros.demo.program import (
    DETECTIONS_TOPIC,
    IMAGE_TOPIC,
    MASKS_TOPIC,
    DemoNode,
    run_node,
)
from amodal_ros.ros.demo.results import CameraReport, SentFrame
from amodal_ros.ros.demo.sources import limited
from amodal_ros.ros.demo.stage import Stage, load_stage

ADD_OBJECT_SERVICE = "amodal_perception/add_object"
FRAME_ID = "demo_camera"
_DEPTH = 10
_SETTLE_S = 1.5  # between finding the others and the first picture: they must find us too
_START_S = 120.0  # the perception node may load its model first


class DemoCamera(DemoNode):
    """Publishes one frame at a time and notices which ones are answered.

    Args:
        given: objects are given to the node by hand; no boxes are published.
    """

    def __init__(self, given: bool = False) -> None:
        super().__init__("demo_camera")
        qos = QoSProfile(depth=_DEPTH)  # reliable: fits subscribers of either kind
        self._images = self.create_publisher(Image, IMAGE_TOPIC, qos)
        self._detections, self._adding = None, None
        if given:
            self._adding = self.create_client(AddObject, ADD_OBJECT_SERVICE)
        else:
            self._detections = self.create_publisher(Detection2DArray, DETECTIONS_TOPIC, qos)
        self.create_subscription(AmodalMaskArray, MASKS_TOPIC, self._on_masks, qos)
        self.report = CameraReport()
        self._by_stamp: dict[int, SentFrame] = {}

    def wait_for_partners(
        self, image_subscribers: int, ready_file: Path | None, timeout_s: float
    ) -> bool:
        """Waits until somebody takes images and boxes and somebody publishes masks.

        Args:
            image_subscribers: So many of the image.
            ready_file: Must exist as well, where given.
            timeout_s: Seconds to wait.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not self.stopping:
            ready = (
                self._images.get_subscription_count() >= image_subscribers
                and self._boxes_are_taken()
                and self.count_publishers(MASKS_TOPIC) >= 1
                and (ready_file is None or ready_file.exists())
            )
            if ready:
                self.spin_for(_SETTLE_S)
                return True
            rclpy.spin_once(self, timeout_sec=0.05)
        return False

    def give(self, boxes: Sequence[PromptBox], timeout_s: float) -> None:
        """Gives the objects of the first frame to the node.

        Raises:
            InvalidInputError: The node refused one, or did not answer.
        """
        if self._adding is None:
            return
        for prompt in boxes:
            request = AddObject.Request(box_xyxy=list(prompt.box_xyxy), class_id=prompt.class_id)
            answer = self._adding.call_async(request)
            rclpy.spin_until_future_complete(self, answer, timeout_sec=timeout_s)
            response = answer.result()
            if response is None or not response.success:
                reason = "no answer" if response is None else response.message
                raise InvalidInputError(f"box {prompt.box_xyxy} is not taken: {reason}")

    def now_ns(self) -> int:
        """The clock's time."""
        now: int = self.get_clock().now().nanoseconds
        return now

    def publish(
        self, image_rgb: np.ndarray, boxes: Sequence[PromptBox], stamp_ns: int | None = None
    ) -> SentFrame:
        """Publishes a picture (H, W, 3) uint8 and its boxes with one header.

        Args:
            image_rgb: The picture.
            boxes: Its boxes; not published where objects are given.
            stamp_ns: When it was taken; None: now.
        """
        sent_ns = self.now_ns()
        stamp_ns = sent_ns if stamp_ns is None else stamp_ns
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=FRAME_ID)
        sent = SentFrame(self.report.frames_sent, stamp_ns, sent_ns)
        self.report.frames.append(sent)
        self._by_stamp[stamp_ns] = sent
        self._images.publish(rgb_to_image(image_rgb, header))
        if self._detections is not None:
            self._detections.publish(detections_message(boxes, header))
        return sent

    def wait_for_answer(self, sent: SentFrame, timeout_s: float) -> bool:
        """Waits for the masks of one frame; returns whether they came."""
        deadline = time.monotonic() + timeout_s
        while not sent.answered and not self.stopping and time.monotonic() < deadline:
            rclpy.spin_once(self, timeout_sec=0.1)
        return sent.answered

    def spin_for(self, seconds: float) -> None:
        """Handles messages for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self.stopping:
            rclpy.spin_once(self, timeout_sec=left)

    def _boxes_are_taken(self) -> bool:
        if self._adding is not None:
            return bool(self._adding.service_is_ready())
        return self._detections is not None and bool(self._detections.get_subscription_count())

    def _on_masks(self, message: AmodalMaskArray) -> None:
        sent = self._by_stamp.get(stamp_to_ns(message.header.stamp))
        if sent is not None:
            sent.answered = True


def play(camera: DemoCamera, stage: Stage, arguments: argparse.Namespace) -> int:
    """Publishes all frames.

    In real time they are stamped when they are sent. In lockstep stamps keep the distances that
    the source gives, however long an answer takes: motion is what it is in the pictures.

    Returns:
        How many answers did not come in time (lockstep only).

    Raises:
        InvalidInputError: A box lies outside its picture.
    """
    started, started_ns, missed = time.monotonic(), camera.now_ns(), 0
    for frame, (seconds, picture) in enumerate(limited(stage.source, arguments.frames)):
        if camera.stopping:
            break
        stage.plan.check_frame(frame, picture.shape[:2])
        if frame == 0:
            camera.give(stage.plan.of(frame), arguments.timeout)
        if arguments.rate:
            stamp_ns = None
            camera.spin_for(started + frame / arguments.rate - time.monotonic())
        else:
            stamp_ns = started_ns + round(seconds * 1e9)
            camera.spin_for((stamp_ns - camera.now_ns()) / 1e9)  # no stamp from the future
        sent = camera.publish(picture, stage.plan.of(frame), stamp_ns)
        if not arguments.rate and not camera.wait_for_answer(sent, arguments.timeout):
            missed += 1
            if not camera.stopping:
                camera.get_logger().warning(
                    f"frame {frame} was not answered within {arguments.timeout:g} s"
                )
        if arguments.events:
            send_event("frame", frame=frame)
    if arguments.rate:
        _await_last_answer(camera, arguments.timeout)
    return missed


def _await_last_answer(camera: DemoCamera, timeout_s: float) -> None:
    """In real time the newest frame is answered last; what is older then is dropped."""
    if camera.report.frames:
        camera.wait_for_answer(camera.report.frames[-1], timeout_s)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Reads the command line without its ROS arguments."""
    parser = argparse.ArgumentParser(
        prog="amodal_demo_camera", description="Publish pictures and boxes to ROS 2 topics."
    )
    add_source_arguments(parser)
    parser.add_argument(
        "--image-subscribers",
        type=int,
        default=1,
        metavar="N",
        help="subscribers of the image to wait for before the first frame (default 1)",
    )
    parser.add_argument(
        "--wait-for", type=Path, metavar="FILE", help="wait until this file exists as well"
    )
    parser.add_argument("--report", type=Path, help="file for indices and stamps of all frames")
    parser.add_argument("--events", action="store_true", help="tell the progress on stdout")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the node until the source ends, SIGINT or SIGTERM; returns the exit status."""
    command_line = sys.argv if argv is None else ["amodal_demo_camera", *argv]
    arguments = parse_arguments(remove_ros_args(command_line)[1:])
    try:
        stage = load_stage(arguments)
    except AmodalError as error:
        print(f"amodal_demo_camera: {error}", file=sys.stderr)
        return 2

    def work(camera: DemoCamera) -> int:
        try:
            return _run(camera, stage, arguments)
        finally:
            if arguments.report is not None:
                camera.report.save(arguments.report)

    return run_node(
        command_line, lambda: DemoCamera(stage.given), work, "the report of the frames"
    )


def _run(camera: DemoCamera, stage: Stage, arguments: argparse.Namespace) -> int:
    if not camera.wait_for_partners(arguments.image_subscribers, arguments.wait_for, _START_S):
        if camera.stopping:
            return 0
        boxes = ADD_OBJECT_SERVICE if stage.given else DETECTIONS_TOPIC
        camera.get_logger().error(
            f"no perception node within {_START_S:g} s: expected subscribers of "
            f"{IMAGE_TOPIC}, one that takes boxes by {boxes}, and a publisher of {MASKS_TOPIC}"
        )
        return 1
    if arguments.events:
        send_event("start", frames=stage.frame_count)
    missed = play(camera, stage, arguments)
    stage.plan.check_used(camera.report.frames_sent)
    camera.get_logger().info(f"{camera.report.frames_sent} frames sent, {missed} not answered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
