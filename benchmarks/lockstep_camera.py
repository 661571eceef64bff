# SPDX-License-Identifier: Apache-2.0
"""A camera with boxes for benchmarks: sends the next frame when the last one was answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import rclpy
from amodal_msgs.msg import AmodalMaskArray
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray

from amodal_ros.ros.convert.images import rgb_to_image
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.outputs.publishers import TIMING_KEYS, read_timing

TIMEOUT_S = 60.0


@dataclass(frozen=True, eq=False)
class Scene:
    """What one frame shows.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        boxes_xyxy: x0, y0, x1, y1 in pixels, by detection id.
    """

    picture: np.ndarray
    boxes_xyxy: dict[str, tuple[float, float, float, float]]


class LockstepCamera:
    """Publishes scenes, each with one box for each object."""

    def __init__(self, scenes: Iterator[Scene]) -> None:
        rclpy.init()
        self._node = Node("benchmark_camera")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        # Best effort loses large images on loopback, and a lost frame would stop the lockstep.
        reliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        self._images = self._node.create_publisher(Image, "camera/image_raw", reliable)
        self._boxes = self._node.create_publisher(Detection2DArray, "detections", 10)
        self._masks: dict[int, tuple[int, float]] = {}
        self._timings: dict[int, dict[str, float]] = {}
        self._node.create_subscription(AmodalMaskArray, "amodal/masks", self._on_masks, 10)
        self._node.create_subscription(DiagnosticArray, "amodal/timing", self._on_timing, 10)
        self._scenes = scenes

    def connect(self) -> None:
        """Send frames until one is answered with masks and timing."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (self._masks and self._timings):
            if time.monotonic() > deadline:
                raise TimeoutError("the node does not answer")
            self._send()
            self._spin_until(lambda: bool(self._masks and self._timings), 2.0)
        self.spin_for(1.0)

    def frame(self, timeout_s: float = TIMEOUT_S) -> dict[str, float]:
        """Send a frame and wait for its answer.

        Returns:
            Milliseconds by ``TIMING_KEYS`` and ``arrival``, and the number of ``objects``.

        Raises:
            TimeoutError: if the answer does not come.
        """
        self._masks.clear()
        self._timings.clear()
        stamp_ns = self._send()
        if not self._spin_until(
            lambda: stamp_ns in self._masks and stamp_ns in self._timings, timeout_s
        ):
            raise TimeoutError(f"no answer within {timeout_s:g} s")
        objects, arrival_ms = self._masks[stamp_ns]
        timing = {key: self._timings[stamp_ns][key] for key in TIMING_KEYS}
        return {**timing, "arrival": arrival_ms, "objects": objects}

    def spin_for(self, seconds: float) -> None:
        """Wait, and receive what comes meanwhile."""
        self._spin_until(lambda: False, seconds)

    def losses(self) -> dict[str, int]:
        """The node's fault counters that are not 0, as of the last answer; it must have come."""
        timing = self._timings[max(self._timings)]
        return {n: int(timing[n]) for n in timing if n not in TIMING_KEYS and timing[n]}

    def close(self) -> None:
        """Leave the ROS network."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def _send(self) -> int:
        scene = next(self._scenes)
        picture = rgb_to_image(scene.picture, Header())
        header = Header(frame_id="camera", stamp=self._node.get_clock().now().to_msg())
        picture.header, boxes = header, boxes_message(scene, header)
        self._images.publish(picture)
        self._boxes.publish(boxes)
        return stamp_to_ns(header.stamp)

    def _spin_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not condition():
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                return False
            self._executor.spin_once(timeout_sec=remaining_s)
        return True

    def _on_masks(self, message: AmodalMaskArray) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        arrival_ms = (self._node.get_clock().now().nanoseconds - stamp_ns) / 1e6
        self._masks[stamp_ns] = (len(message.masks), arrival_ms)

    def _on_timing(self, message: DiagnosticArray) -> None:
        self._timings[stamp_to_ns(message.header.stamp)] = read_timing(message)


def boxes_message(scene: Scene, header: Header) -> Detection2DArray:
    """The boxes of a scene, as a detector publishes them."""
    boxes = Detection2DArray(header=header)
    for name, (x0, y0, x1, y1) in scene.boxes_xyxy.items():
        detection = Detection2D(id=name)
        detection.bbox.center.position.x = (x0 + x1) / 2
        detection.bbox.center.position.y = (y0 + y1) / 2
        detection.bbox.size_x, detection.bbox.size_y = x1 - x0, y1 - y0
        boxes.detections.append(detection)
    return boxes
