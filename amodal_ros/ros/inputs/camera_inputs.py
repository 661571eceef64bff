# SPDX-License-Identifier: Apache-2.0
"""The inputs of one camera: images, boxes and depth, brought together by stamp."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from amodal_ros.ros.convert.stamps import NS_PER_S, stamp_to_ns
from amodal_ros.ros.convert.yolo import boxes_from_yolo, yolo_message_type
from amodal_ros.ros.inputs.depth_input import DepthInput
from amodal_ros.ros.inputs.pairing import FramePair, FramePairer, PairerConfig
from amodal_ros.ros.inputs.subscription import InputSubscription
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import belongs_to, image_topic, of_camera
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.ros.watch.plausibility import ahead, other_frame
from amodal_ros.ros.watch.session import SessionWatch

_PERIOD_S = 0.25


@dataclass(frozen=True)
class ReceivedImage:
    """An image, and the milliseconds from its stamp to its reception by the node's clock."""

    message: Image | CompressedImage
    transport_ms: float


Frame = FramePair[ReceivedImage, Detection2DArray]


class CameraInputs:
    """Subscribes from construction to ``close``; all callbacks run in the node's executor.

    Args:
        node: owns the subscriptions.
        camera: name that prefixes the topics; empty: none.
        parameters: topics, types, reliability, pairing.
        faults: where losses are counted.
        on_image: told of each image, before it has boxes.
        on_frame: gets each image that has found its boxes.
        idle_since: monotonic seconds since when no frame is in work; None: one is.

    Raises:
        InvalidInputError: if the type of the boxes is not installed.
    """

    def __init__(
        self,
        node: LifecycleNode,
        camera: str,
        parameters: PerceptionParameters,
        faults: FaultLog,
        on_image: Callable[[ReceivedImage], None],
        on_frame: Callable[[Frame], None],
        idle_since: Callable[[], float | None],
    ) -> None:
        self._node = node
        self._faults = faults
        self._frames = Doubt(faults, Fault.FRAME_ID, "boxes")
        self._ahead = Doubt(faults, Fault.STAMPS_AHEAD, begin=3)
        self._told_of_inner_stamps = False
        self._on_image = on_image
        self._on_frame = on_frame
        self._pairer: FramePairer[ReceivedImage, Detection2DArray] = FramePairer(
            PairerConfig(
                slop_ns=round(parameters.slop * NS_PER_S),
                queue_size=parameters.sync_queue_size,
                timeout_s=parameters.sync_timeout,
            ),
            faults,
        )
        self._from_yolo = parameters.detections_type == "yolo_msgs"
        self._has_detector = bool(parameters.detections_topic)
        detections_type = yolo_message_type() if self._from_yolo else Detection2DArray
        self._images = self._subscribe_images(camera, parameters)
        self._detections = None
        if self._has_detector:
            self._detections = InputSubscription(
                node,
                detections_type,
                of_camera(camera, parameters.detections_topic),
                self._receive_detections,
                depth=parameters.sync_queue_size,
            )
        self.depth = DepthInput(node, camera, parameters) if parameters.depth_topic else None
        self._timer = node.create_timer(
            _PERIOD_S, self._check, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self.watch = SessionWatch(
            node,
            faults,
            camera=of_camera(camera, image_topic(parameters)),
            # Without a detector each image counts as its boxes too: nothing is told of that name.
            detector=of_camera(camera, parameters.detections_topic or "no_detector"),
            on_time_backward=self._pairer.clear,
            watched=belongs_to(camera, parameters, node.resolve_topic_name),
            idle_since=idle_since,
        )

    @property
    def image_reliability(self) -> str:
        """What is asked of the image publishers at present."""
        return self._images.reliability

    def close(self) -> None:
        """Unsubscribe."""
        self._images.close()
        if self._detections is not None:
            self._detections.close()
        if self.depth is not None:
            self.depth.close()
        self._node.destroy_timer(self._timer)
        self.watch.close()
        self._pairer.clear()
        self._frames.clear()
        self._ahead.clear()

    def _subscribe_images(
        self, camera: str, parameters: PerceptionParameters
    ) -> InputSubscription:
        compressed = parameters.image_transport == "compressed"
        return InputSubscription(
            self._node,
            CompressedImage if compressed else Image,
            of_camera(camera, image_topic(parameters)),
            self._receive_image,
            parameters.image_reliability,
        )

    def _receive_image(self, message: Image | CompressedImage) -> None:
        self.watch.image_came()
        stamp_ns = stamp_to_ns(message.header.stamp)
        now_ns = self._node.get_clock().now().nanoseconds
        transport_ms = (now_ns - stamp_ns) / 1e6
        if now_ns:  # simulated time is 0 until /clock comes
            simulated = bool(self._node.get_parameter("use_sim_time").value)
            self._ahead.see(ahead(-transport_ms / 1e3, simulated))
        received = ReceivedImage(message, transport_ms)
        self._on_image(received)
        if not self._has_detector:
            self._add_no_boxes(stamp_ns, message.header)
        self._forward(self._pairer.add_image(stamp_ns, received, monotonic()))

    def _add_no_boxes(self, stamp_ns: int, header: Header) -> None:
        self.watch.detections_came()
        if stamp_ns:  # the image alone is told of as unstamped
            self._pairer.add_detections(stamp_ns, Detection2DArray(header=header), monotonic())

    def _receive_detections(self, message: Any) -> None:
        self.watch.detections_came()
        boxes = boxes_from_yolo(message) if self._from_yolo else message
        stamp_ns = stamp_to_ns(boxes.header.stamp) or self._inner_stamp(boxes)
        self._forward(self._pairer.add_detections(stamp_ns, boxes, monotonic()))

    def _forward(self, frame: Frame | None) -> None:
        if frame is not None:
            of_boxes = frame.detections.header.frame_id or next(
                (d.header.frame_id for d in frame.detections.detections), ""
            )
            image_frame_id = frame.image.message.header.frame_id
            self._frames.see(other_frame("boxes", of_boxes, image_frame_id))
            self._on_frame(frame)

    def _inner_stamp(self, boxes: Detection2DArray) -> int:
        """The one stamp of the boxes themselves, where their message has none; else 0."""
        stamps = {stamp_to_ns(detection.header.stamp) for detection in boxes.detections}
        if len(stamps) != 1 or stamps == {0}:
            return 0
        self._faults.count(Fault.BOX_STAMPS)
        if not self._told_of_inner_stamps:
            self._told_of_inner_stamps = True
            self._node.get_logger().warning(
                "the box message has stamp 0, its boxes have one: theirs counts. Let the detector "
                "copy the image's header to the message too"
            )
        return stamps.pop()

    def _check(self) -> None:
        self._pairer.expire(monotonic())
        self._images.check()
        if self._detections is not None:
            self._detections.check()
        if self.depth is not None:
            self.depth.check()
