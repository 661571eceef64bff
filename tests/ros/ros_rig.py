# SPDX-License-Identifier: Apache-2.0
"""What node tests stand on: a fast predictor, and a camera with a subscriber over real DDS."""

from __future__ import annotations

import array
import contextlib
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from amodal_msgs.msg import AmodalMaskArray
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.ros.convert.stamps import ns_to_stamp
from amodal_ros.ros.node.perception_node import PerceptionNode
from amodal_ros.tracking.tracker import TrackedObject
from tests.ros.fake_predictor import FakePredictor

START_S = 120.0
TIMEOUT_S = 30.0
SETTLE_S = 0.2
FRAME_PERIOD_NS = 33_000_000
Box = tuple[float, float, float, float]


def picture(height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def image_message(rgb: np.ndarray, header: Header) -> Image:
    """An rgb8 message."""
    height, width = rgb.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = array.array("B", rgb.tobytes())
    return message


def boxes_message(
    boxes: Sequence[Box], header: Header, ids: Sequence[str] = ()
) -> Detection2DArray:
    """Boxes x0, y0, x1, y1 without hypotheses."""
    message = Detection2DArray(header=header)
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        detection = Detection2D(header=header, id=ids[index] if ids else "")
        center = detection.bbox.center.position
        center.x, center.y = (x0 + x1) / 2, (y0 + y1) / 2
        detection.bbox.size_x, detection.bbox.size_y = float(x1 - x0), float(y1 - y0)
        message.detections.append(detection)
    return message


def tracked_object(visible: np.ndarray, amodal: np.ndarray, **fields: object) -> TrackedObject:
    """An object with these masks (H, W) bool; what is not given is as of a sure mug."""
    named = {
        "track_id": 1,
        "class_id": "mug",
        "detection_id": "",
        "score": 1.0,
        "predicted_iou": 0.876,
        "coasting": False,
        **fields,
    }
    return TrackedObject(visible=CroppedMask.of(visible), amodal=CroppedMask.of(amodal), **named)


class Camera:
    """Publishes images and boxes, and keeps the masks that come back."""

    def __init__(
        self,
        context: Context,
        image_topic: str = "camera/image_raw",
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
    ) -> None:
        self.node = Node("test_camera", context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        qos = QoSProfile(depth=50, reliability=reliability)
        self.images = self.node.create_publisher(Image, image_topic, qos)
        self.boxes = self.node.create_publisher(Detection2DArray, "detections", qos)
        self.answers: list[AmodalMaskArray] = []
        self.node.create_subscription(AmodalMaskArray, "amodal/masks", self.answers.append, 50)
        self._stamp_ns = 0
        self._clients: dict[str, Client] = {}

    def subscribe(self, message_type: type, topic: str) -> list:
        """A list that grows with what is published."""
        received: list = []
        self.node.create_subscription(message_type, topic, received.append, 50)
        return received

    def header(self) -> Header:
        """A new stamp: now, but later than the last by a frame at least."""
        now_ns = self.node.get_clock().now().nanoseconds
        self._stamp_ns = max(now_ns, self._stamp_ns + FRAME_PERIOD_NS)
        return Header(stamp=ns_to_stamp(self._stamp_ns), frame_id="test_camera_optical")

    def send(self, rgb: np.ndarray, boxes: Sequence[Box], ids: Sequence[str] = ()) -> Header:
        """Publish a frame; returns its header."""
        header = self.header()
        self.images.publish(image_message(rgb, header))
        self.boxes.publish(boxes_message(boxes, header, ids))
        return header

    def ask(
        self, rgb: np.ndarray, boxes: Sequence[Box], ids: Sequence[str] = ()
    ) -> AmodalMaskArray:
        """Publish a frame and wait for its answer."""
        return self.wait_answer(self.send(rgb, boxes, ids))

    def wait_answer(self, header: Header) -> AmodalMaskArray:
        """The answer to a frame."""

        def found() -> list[AmodalMaskArray]:
            return [answer for answer in self.answers if answer.header == header]

        self.wait(lambda: bool(found()), f"the answer to {header.stamp}")
        return found()[0]

    def connect(self) -> None:
        """Send frames without objects until one is answered: then both directions are matched."""
        deadline = time.monotonic() + START_S
        while not self.answers:
            assert time.monotonic() < deadline, "no answer"
            self.send(picture(), [])
            self.spin_for(0.2)

    def wait(
        self, condition: Callable[[], object], what: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Spin until something is true."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not come within {timeout_s:g} s")
            self._executor.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds: float) -> None:
        """Spin for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.02)

    def call(self, service_type: type, name: str, request: object):
        """Call a service and wait for its response."""
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(service_type, name)
            self.wait(client.service_is_ready, f"service {name}", START_S)
            # A response that is sent before the server has found the client's reader is lost.
            self.spin_for(SETTLE_S)
        future = client.call_async(request)
        self.wait(future.done, f"response of {name}")
        return future.result()

    def change_state(self, transition_id: int) -> bool:
        """Ask the perception node for a lifecycle transition."""
        request = ChangeState.Request()
        request.transition.id = transition_id
        return self.call(ChangeState, "amodal_perception/change_state", request).success

    def set_parameters(self, **values: object) -> list[str]:
        """Set parameters of the perception node as any other node would; reasons of refusals."""
        request = SetParameters.Request(
            parameters=[Parameter(n, value=v).to_parameter_msg() for n, v in values.items()]
        )
        answer = self.call(SetParameters, "amodal_perception/set_parameters", request)
        return [result.reason for result in answer.results if not result.successful]

    def diagnostics(self, status: str, since: Callable[[DiagnosticStatus], bool]) -> dict:
        """Wait for a status whose name ends so and that fulfils a condition; its values."""
        if not hasattr(self, "_diagnostics"):
            self._diagnostics = self.subscribe(DiagnosticArray, "/diagnostics")
        found: list[DiagnosticStatus] = []

        def look() -> bool:
            found[:] = [
                entry
                for message in self._diagnostics[-1:]
                for entry in message.status
                if entry.name.endswith(status) and since(entry)
            ]
            return bool(found)

        self.wait(look, f"the status of {status}")
        values = {entry.key: entry.value for entry in found[0].values}
        return {**values, "level": found[0].level, "message": found[0].message}

    def close(self) -> None:
        """Destroy the node."""
        self._executor.shutdown()
        self.node.destroy_node()


class PerceptionRig:
    """A perception node with a fake predictor that spins in a thread, and a camera for it."""

    def __init__(self, context: Context, activate: bool = True, **parameters: object) -> None:
        self.predictors: list[FakePredictor] = []
        self.make_predictor: Callable[[object], FakePredictor] = lambda parameters: FakePredictor()
        # Every image is answered by the model, unless a test says otherwise.
        given = {"frame_budget": 0.0, **parameters}
        self.node = PerceptionNode(
            self._make_predictor,
            context=context,
            parameter_overrides=[Parameter(n, value=v) for n, v in given.items()],
        )
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._closing = False
        self._alarm = self.node.create_guard_condition(lambda: None)
        if activate:
            self.node.trigger_configure()
            self.node.trigger_activate()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()
        self.camera = Camera(context, str(parameters.get("image_topic", "camera/image_raw")))
        if activate:
            self.wait_connected(self.camera)

    @property
    def predictor(self) -> FakePredictor:
        """Of the last configuration."""
        return self.predictors[-1]

    def counts(self, name: str) -> int:
        """One of the node's fault counters."""
        return self.node.fault_counts[name]

    def wait_connected(self, camera: Camera) -> None:
        """Wait until no message is lost for want of a subscriber."""
        masks = next(p for p in self.node.publishers if p.topic_name == "/amodal/masks")
        camera.wait(
            lambda: (
                camera.images.get_subscription_count()
                and camera.boxes.get_subscription_count()
                and masks.get_subscription_count()
            ),
            "the connection of camera and node",
        )

    def close(self) -> None:
        """End node, thread and camera."""
        self._closing = True
        self._alarm.trigger()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        with contextlib.suppress(RuntimeError):  # the test has finalized it
            self.node.trigger_shutdown()
        self._executor.shutdown()
        self.camera.close()
        self.node.destroy_node()

    def _make_predictor(self, parameters: object) -> FakePredictor:
        self.predictors.append(self.make_predictor(parameters))
        return self.predictors[-1]

    def _spin(self) -> None:
        while not self._closing:
            self._executor.spin_once()


def timing_values(message: DiagnosticArray) -> dict[str, float]:
    """Keys and values of a timing message, read as any subscriber would."""
    return {entry.key: float(entry.value) for entry in message.status[0].values}
