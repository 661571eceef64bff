# SPDX-License-Identifier: Apache-2.0
"""The inputs of one camera: images, boxes and depth, brought together by stamp and watched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from amodal_ros.ros.convert.stamps import NS_PER_S, stamp_to_ns
from amodal_ros.ros.convert.yolo import boxes_from_yolo, yolo_message_type
from amodal_ros.ros.inputs.depth_input import DepthInput
from amodal_ros.ros.inputs.depth_source import DepthSource
from amodal_ros.ros.inputs.pairing import FramePair, FramePairer, PairerConfig
from amodal_ros.ros.inputs.subscription import InputSubscription
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import belongs_to, image_topic, of_camera
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.ros.watch.frame_statistics import FrameStatistics
from amodal_ros.ros.watch.graph import GraphWatch, silence_cause
from amodal_ros.ros.watch.plausibility import ahead, other_frame
from amodal_ros.ros.watch.silence import ClockWatch, InputWatch

# An input is silent after so long without a message.
SILENCE_S = 5.0
_WATCH_PERIOD_S = 1.0


@dataclass(frozen=True, eq=False)
class Frame:
    """An image that has found its boxes.

    Attributes:
        stamp_ns: of the image.
        image: its message.
        detections: its boxes.
        received_s: monotonic time of the image's reception.
        transport_ms: from the image's stamp to its reception, by the node's clock.
        depth: where its depth image is, or will be; None: there is no depth.
    """

    stamp_ns: int
    image: Image | CompressedImage
    detections: Detection2DArray
    received_s: float
    transport_ms: float
    depth: DepthSource | None


class _Received(NamedTuple):
    message: Image | CompressedImage
    transport_ms: float


class CameraInputs:
    """Subscribes from construction to ``close``; all callbacks run in the node's executor.

    Raises:
        InvalidInputError: if the type of the boxes is not installed.
    """

    def __init__(
        self,
        node: LifecycleNode,
        camera: str,
        parameters: PerceptionParameters,
        faults: FaultLog,
        statistics: FrameStatistics,
        on_frame: Callable[[Frame], None],
    ) -> None:
        self._node = node
        self._faults = faults
        self._statistics = statistics
        self._on_frame = on_frame
        self._pairer: FramePairer[_Received, Detection2DArray] = FramePairer(
            PairerConfig(
                slop_ns=round(parameters.slop * NS_PER_S),
                queue_size=parameters.sync_queue_size,
                timeout_s=parameters.sync_timeout,
            ),
            faults,
        )
        self._newest_lock = threading.Lock()
        self._newest_image: Image | CompressedImage | None = None
        self._told_of_inner_stamps = False
        self._next_look_s = monotonic() + _WATCH_PERIOD_S
        self._subscribe(camera, parameters)
        self._watch(camera, parameters)

    @property
    def image_reliability(self) -> str:
        """What is asked of the image publishers at present."""
        return self._images.reliability

    @property
    def newest_image(self) -> Image | CompressedImage | None:
        """The image received last, answered or not; any thread may ask."""
        with self._newest_lock:
            return self._newest_image

    def check(self, idle_since_s: float | None) -> None:
        """Follow the publishers and look for what is wrong; call it now and then.

        Args:
            idle_since_s: monotonic time since when no frame is in work; None: one is.
        """
        now_s = monotonic()
        self._pairer.expire(now_s)
        for subscription in (self._images, self._detections, self.depth):
            if subscription is not None:
                subscription.check()
        if now_s >= self._next_look_s:
            self._next_look_s = now_s + _WATCH_PERIOD_S
            self._silence.check(now_s, idle_since_s)
            self._graph.check()

    def close(self) -> None:
        """Unsubscribe, and end what is told of the inputs."""
        for subscription in (self._images, self._detections, self.depth):
            if subscription is not None:
                subscription.close()
        self._clock.close()
        for watch in (self._pairer, self._frames, self._ahead, self._silence, self._graph):
            watch.clear()

    def _subscribe(self, camera: str, parameters: PerceptionParameters) -> None:
        self._from_yolo = parameters.detections_type == "yolo_msgs"
        detections_type = yolo_message_type() if self._from_yolo else Detection2DArray
        self._images = InputSubscription(
            self._node,
            Image if parameters.image_transport == "raw" else CompressedImage,
            of_camera(camera, image_topic(parameters)),
            self._receive_image,
            parameters.image_reliability,
            # As many as boxes: a late executor loses pairs, which are counted, and not halves.
            depth=parameters.sync_queue_size,
        )
        self._detections: InputSubscription | None = None
        if parameters.detections_topic:
            self._detections = InputSubscription(
                self._node,
                detections_type,
                of_camera(camera, parameters.detections_topic),
                self._receive_detections,
                depth=parameters.sync_queue_size,
            )
        self.depth = DepthInput(self._node, camera, parameters) if parameters.depth_topic else None

    def _watch(self, camera: str, parameters: PerceptionParameters) -> None:
        faults, node = self._faults, self._node
        self._frames = Doubt(faults, Fault.FRAME_ID, "boxes")
        self._ahead = Doubt(faults, Fault.STAMPS_AHEAD, begin=3)
        self._clock = ClockWatch(node, faults, on_backward=self._pairer.clear)
        self._graph = GraphWatch(
            node, faults, belongs_to(camera, parameters, node.resolve_topic_name)
        )
        # Without a detector each image counts as its boxes too.
        boxes = self._detections or self._images
        self._silence = InputWatch(
            faults,
            node.get_logger().info,
            self._images.topic,
            boxes.topic,
            monotonic(),
            SILENCE_S,
            partial(silence_cause, node),
        )

    def _receive_image(self, message: Image | CompressedImage) -> None:
        now_s = monotonic()
        self._silence.image_came(now_s)
        self._statistics.image_came()
        with self._newest_lock:
            self._newest_image = message
        stamp_ns = stamp_to_ns(message.header.stamp)
        now_ns = self._node.get_clock().now().nanoseconds
        simulated = bool(self._node.get_parameter("use_sim_time").value)
        self._ahead.see(ahead(stamp_ns / NS_PER_S, now_ns / NS_PER_S, simulated))
        if self._detections is None:
            self._silence.detections_came(now_s)
            if stamp_ns:  # the image alone is told of as unstamped
                no_boxes = Detection2DArray(header=message.header)
                self._pairer.add_detections(stamp_ns, no_boxes, now_s)
        received = _Received(message, (now_ns - stamp_ns) / 1e6)
        self._forward(self._pairer.add_image(stamp_ns, received, now_s))

    def _receive_detections(self, message: Any) -> None:
        self._silence.detections_came(monotonic())
        boxes = boxes_from_yolo(message) if self._from_yolo else message
        stamp_ns = stamp_to_ns(boxes.header.stamp) or self._inner_stamp(boxes)
        self._forward(self._pairer.add_detections(stamp_ns, boxes, monotonic()))

    def _forward(self, pair: FramePair[_Received, Detection2DArray] | None) -> None:
        if pair is None:
            return
        message, boxes = pair.image.message, pair.detections
        of_boxes = boxes.header.frame_id or next(
            (detection.header.frame_id for detection in boxes.detections), ""
        )
        self._frames.see(other_frame("boxes", of_boxes, message.header.frame_id))
        transport_ms = pair.image.transport_ms
        self._on_frame(
            Frame(pair.stamp_ns, message, boxes, pair.image_received_s, transport_ms, self.depth)
        )

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
