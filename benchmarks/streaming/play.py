# SPDX-License-Identifier: Apache-2.0
"""Plays a clip in real time: to the node, and to the base model."""

from __future__ import annotations

import threading
import time

import numpy as np
import rclpy
from amodal_msgs.msg import AmodalMaskArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from amodal_ros.ros.convert.images import rgb_to_image
from amodal_ros.ros.convert.masks import decode_masks
from benchmarks.latency import NodeProcess
from benchmarks.lockstep_camera import Scene, boxes_message
from benchmarks.streaming.clip import Mosaic
from benchmarks.streaming.played import Played, named, pace
from benchmarks.streaming.scores import Answer, Masks
from export.benchmarking.contestants import Contestant

CONNECT_S = 120.0
WARM_ANSWERS, WARM_IMAGES, WARM_S = 3, 10, 15.0


class NodePlayer:
    """A camera and a detector that knows the truth, for a node in a process of its own.

    Args:
        mosaic: the clip.
        parameters: of the node.
        topic: whose masks are scored.
    """

    def __init__(
        self, mosaic: Mosaic, parameters: dict[str, object], topic: str = "amodal/masks"
    ) -> None:
        self._mosaic = mosaic
        self._process = NodeProcess({"image_reliability": "reliable", **parameters})
        try:
            self._process.wait_active()
            rclpy.init()
        except BaseException:
            self._process.end()
            raise
        self._node = Node("streaming_camera")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._images = self._node.create_publisher(Image, "camera/image_raw", reliable)
        self._boxes = self._node.create_publisher(Detection2DArray, "detections", 10)
        self._node.create_subscription(AmodalMaskArray, topic, self._on_masks, 10)
        self._came: list[tuple[float, AmodalMaskArray]] = []

    def play(self, rate_hz: float, seconds: float) -> Played:
        """Plays the clip from its beginning.

        Raises:
            TimeoutError: when the node does not answer at all.
        """
        self._warm_up(rate_hz)
        plan = pace(self._mosaic, rate_hz, seconds)
        pictures = {number: self._mosaic.picture(number) for _, number in plan}
        began_s = time.monotonic()
        sent = []
        for time_s, number in plan:
            self._spin_until(began_s + time_s)
            sent.append((time.monotonic() - began_s, number))
            self._send(number, pictures[number])
        self._spin_until(began_s + seconds)
        names: dict[int, str] = {}
        answers = [
            Answer(came_s - began_s, named(decode_masks(message), names))
            for came_s, message in self._came
        ]
        return Played(sent, answers)

    def close(self) -> None:
        """Ends node and camera."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()
        self._process.end()

    def _warm_up(self, rate_hz: float) -> None:
        """Sends the first picture until the node has measured the rate and knows the objects."""
        began_s = time.monotonic()
        picture, wanted, sent = self._mosaic.picture(0), len(self._mosaic.boxes(0)), 0
        while len(self._came) < WARM_ANSWERS or sent < WARM_IMAGES or self._fewer_than(wanted):
            passed_s = time.monotonic() - began_s
            if passed_s > CONNECT_S:
                raise TimeoutError("the node does not answer")
            if passed_s > WARM_S and len(self._came) >= WARM_ANSWERS:
                break  # it answers with fewer objects, as it was told
            self._send(0, picture)
            sent += 1
            self._spin_until(time.monotonic() + 1 / rate_hz)
        self._came.clear()

    def _fewer_than(self, objects: int) -> bool:
        return not self._came or len(self._came[-1][1].masks) < objects

    def _send(self, number: int, picture: np.ndarray | None = None) -> None:
        picture = self._mosaic.picture(number) if picture is None else picture
        boxes = {name: tuple(map(float, box)) for name, box in self._mosaic.boxes(number).items()}
        header = Header(frame_id="camera", stamp=self._node.get_clock().now().to_msg())
        self._images.publish(rgb_to_image(picture, header))
        self._boxes.publish(boxes_message(Scene(picture, boxes), header))  # type: ignore[arg-type]

    def _spin_until(self, moment_s: float) -> None:
        while (left_s := moment_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def _on_masks(self, message: AmodalMaskArray) -> None:
        self._came.append((time.monotonic(), message))


def play_to_contestant(
    mosaic: Mosaic, contestant: Contestant, rate_hz: float, seconds: float
) -> Played:
    """Plays the clip to a model that always takes the newest frame; visible masks only."""
    plan = pace(mosaic, rate_hz, seconds)
    inputs = {n: (mosaic.picture(n), mosaic.boxes(n)) for n in {number for _, number in plan}}
    newest: list[int] = []
    answers: list[Answer] = []
    wake, ended = threading.Event(), threading.Event()
    began_s = time.monotonic()

    def work() -> None:
        while not ended.is_set():
            if not wake.wait(0.05):
                continue
            wake.clear()
            picture, boxes = inputs[newest[-1]]
            masks = contestant.run(picture, np.array(list(boxes.values()), np.float32))
            came_s = time.monotonic() - began_s
            found = {n: Masks.of(m, m) for n, m in zip(boxes, masks, strict=True)}
            answers.append(Answer(came_s, found))

    thread = threading.Thread(target=work)
    thread.start()
    sent = []
    for time_s, number in plan:
        time.sleep(max(began_s + time_s - time.monotonic(), 0.0))
        sent.append((time.monotonic() - began_s, number))
        newest.append(number)
        wake.set()
    ended.set()
    thread.join()
    return Played(sent, answers)
