# SPDX-License-Identifier: Apache-2.0
"""Plays a clip in real time: to the node, and to the base model."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterable

import numpy as np
import rclpy
from amodal_msgs.msg import AmodalMaskArray
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from amodal_ros.ros.convert.images import rgb_to_image
from amodal_ros.ros.convert.masks import decode_masks
from amodal_ros.ros.convert.stamps import stamp_to_ns
from benchmarks.lockstep_camera import Scene, boxes_message
from benchmarks.node_process import NodeProcess
from benchmarks.streaming.clip import Mosaic
from benchmarks.streaming.played import Load, Played, named, pace
from benchmarks.streaming.scores import Answer, Masks
from export.benchmarking.contestants import Contestant

CONNECT_S = 120.0
_CDR_HEAD = 4  # bytes before a serialised message
WARM_ANSWERS, WARM_IMAGES, WARM_S = 3, 10, 15.0


def stamped(serialised: bytes, stamp: Time) -> bytes:
    """A serialised message that begins with a header, with another stamp in that.

    Args:
        serialised: in little-endian CDR, as `serialize_message` writes it.
        stamp: of the header.
    """
    copy = bytearray(serialised)
    struct.pack_into("<iI", copy, _CDR_HEAD, stamp.sec, stamp.nanosec)
    return bytes(copy)


class NodePlayer:
    """A camera and a detector that knows the truth, for a node in a process of its own.

    It has the node's processors: pictures and boxes are serialised before they are played, and
    masks are read afterwards.
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
            self._process.close()
            raise
        self._node = Node("streaming_camera")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._images = self._node.create_publisher(Image, "camera/image_raw", reliable)
        self._boxes = self._node.create_publisher(Detection2DArray, "detections", 10)
        self._node.create_subscription(AmodalMaskArray, topic, self._on_masks, 10, raw=True)
        self._came: list[tuple[float, bytes]] = []
        self._ready: dict[int, tuple[bytes, bytes]] = {}

    def play(self, rate_hz: float, seconds: float) -> Played:
        """Plays the clip from its beginning.

        Raises:
            TimeoutError: when the node does not answer at all.
        """
        plan = pace(self._mosaic, rate_hz, seconds)
        self._prepare(number for _, number in plan)
        self._warm_up(rate_hz)
        began_s, node_s, own_s = time.monotonic(), self._process.cpu_s(), time.process_time()
        sent, stamps_ns = [], []
        for time_s, number in plan:
            self._spin_until(began_s + time_s)
            sent.append((time.monotonic() - began_s, number))
            stamps_ns.append(self._send(number))
        self._spin_until(began_s + seconds)
        passed_s = time.monotonic() - began_s
        node_s, own_s = self._process.cpu_s() - node_s, time.process_time() - own_s
        names: dict[int, str] = {}
        answers, delays_s = [], []
        for moment_s, serialised in self._came:
            message = deserialize_message(serialised, AmodalMaskArray)
            answers.append(Answer(moment_s - began_s, named(decode_masks(message), names)))
            stamp_ns = stamp_to_ns(message.header.stamp)
            if stamp_ns in stamps_ns:
                shown_s, _ = sent[stamps_ns.index(stamp_ns)]
                delays_s.append(answers[-1].arrival_s - shown_s)
        load = Load.of(delays_s, 1 / rate_hz, node_s / passed_s, own_s / passed_s)
        return Played(sent, answers, load)

    def close(self) -> None:
        """Ends node and camera."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()
        self._process.close()

    def _warm_up(self, rate_hz: float) -> None:
        """Sends the first picture until the node has measured the rate and knows the objects."""
        began_s = time.monotonic()
        wanted, sent = len(self._mosaic.boxes(0)), 0
        while len(self._came) < WARM_ANSWERS or sent < WARM_IMAGES or self._fewer_than(wanted):
            passed_s = time.monotonic() - began_s
            if passed_s > CONNECT_S:
                raise TimeoutError("the node does not answer")
            if passed_s > WARM_S and len(self._came) >= WARM_ANSWERS:
                break  # it answers with fewer objects, as it was told
            self._send(0)
            sent += 1
            self._spin_until(time.monotonic() + 1 / rate_hz)
        self._came.clear()

    def _fewer_than(self, objects: int) -> bool:
        if not self._came:
            return True
        return len(deserialize_message(self._came[-1][1], AmodalMaskArray).masks) < objects

    def _prepare(self, numbers: Iterable[int]) -> None:
        """Serialises picture and boxes of frames of the clip; 0, the first one, for warming up."""
        for number in {0, *numbers} - set(self._ready):
            picture, header = self._mosaic.picture(number), Header(frame_id="camera")
            found = self._mosaic.boxes(number)
            boxes = {name: tuple(map(float, box)) for name, box in found.items()}
            message = boxes_message(Scene(picture, boxes), header)  # type: ignore[arg-type]
            image = serialize_message(rgb_to_image(picture, header))
            self._ready[number] = image, serialize_message(message)

    def _send(self, number: int) -> int:
        """Publishes a frame of the clip; its stamp in nanoseconds."""
        stamp, (image, boxes) = self._node.get_clock().now().to_msg(), self._ready[number]
        self._images.publish(stamped(image, stamp))
        self._boxes.publish(stamped(boxes, stamp))
        return stamp_to_ns(stamp)

    def _spin_until(self, moment_s: float) -> None:
        while (left_s := moment_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def _on_masks(self, serialised: bytes) -> None:
        self._came.append((time.monotonic(), serialised))


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
