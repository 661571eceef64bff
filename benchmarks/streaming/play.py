# SPDX-License-Identifier: Apache-2.0
"""Plays a clip in real time: to the node, to the base model, or to nobody in a hurry."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
from amodal_msgs.msg import AmodalMaskArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.ros.convert.images import rgb_to_image
from amodal_ros.ros.convert.masks import decode_masks
from amodal_ros.tracking.tracker import AmodalTracker
from amodal_ros.types import Detections
from benchmarks.latency import NodeProcess
from benchmarks.lockstep_camera import Scene, boxes_message
from benchmarks.streaming.clip import FPS, Mosaic
from benchmarks.streaming.scores import Answer, Masks
from export.benchmarking.contestants import Contestant

CONNECT_S = 120.0
WARM_ANSWERS, WARM_IMAGES, WARM_S = 3, 10, 15.0


@dataclass(frozen=True, eq=False)
class Played:
    """What happened while a clip was played.

    Attributes:
        frames: (time, number in the clip) of each frame that was sent.
        answers: what came, in order.
    """

    frames: Sequence[tuple[float, int]]
    answers: Sequence[Answer]


def pace(mosaic: Mosaic, rate_hz: float, seconds: float) -> list[tuple[float, int]]:
    """When each frame is sent, and which of the clip it is."""
    times = [count / rate_hz for count in range(int(seconds * rate_hz))]
    return [(time_s, mosaic.number_at(time_s)) for time_s in times]


class NodePlayer:
    """A camera and a detector that knows the truth, for a node in a process of its own.

    Args:
        mosaic: the clip.
        parameters: of the node.
    """

    def __init__(self, mosaic: Mosaic, parameters: dict[str, object]) -> None:
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
        self._node.create_subscription(AmodalMaskArray, "amodal/masks", self._on_masks, 10)
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
        named: dict[int, str] = {}
        answers = [_named(came_s - began_s, message, named) for came_s, message in self._came]
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


def _named(arrival_s: float, message: AmodalMaskArray, named: dict[int, str]) -> Answer:
    """An answer by the objects' names, which the detections bring and tracks keep."""
    objects = {}
    for one in decode_masks(message):
        if one.detection_id:
            named[one.track_id] = one.detection_id
        name = named.get(one.track_id)
        if name is not None:
            objects[name] = Masks(one.visible_mask, one.amodal_mask)
    return Answer(arrival_s, objects)


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
            found = {n: Masks(m, m) for n, m in zip(boxes, masks, strict=True)}
            answers.append(Answer(time.monotonic() - began_s, found))

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


def offline(mosaic: Mosaic, predictor: AmodalPredictor, seconds: float, stride: int) -> Played:
    """Every so manieth frame, with all the time that it takes: what the model can do.

    Args:
        mosaic: the clip.
        predictor: the model.
        seconds: of the clip.
        stride: 1: every frame.
    """
    tracker = AmodalTracker()
    frames, answers = [], []
    for number in range(0, int(seconds * FPS), stride):
        picture, boxes = mosaic.picture(number), mosaic.boxes(number)
        found = Detections.from_boxes(list(boxes.values()), detection_ids=list(boxes))
        plan = tracker.plan(found, number / FPS, mosaic.hw, picture)
        prediction = predictor.predict(
            predictor.encode(picture), plan.boxes_xyxy, plan.prior_masks
        )
        objects = {
            one.detection_id: Masks(one.visible_mask, one.amodal_mask)
            for one in tracker.update(plan, prediction)
        }
        frames.append((number / FPS, number))
        answers.append(Answer(number / FPS, objects))
    return Played(frames, answers)


def base_contestant(folder: Path, threads: int) -> Callable[[], Contestant]:
    """The base model: its encoder once, and its decoder for each box, in ONNX Runtime."""
    from export.benchmarking.contestants import Entry, open_contestant

    entry = Entry("base", str(folder), "onnxruntime", "CPUExecutionProvider", threads)
    return lambda: open_contestant(entry)
