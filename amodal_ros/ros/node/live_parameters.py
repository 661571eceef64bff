# SPDX-License-Identifier: Apache-2.0
"""Takes up parameter changes of a running node: new limits, new subscriptions, another model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rclpy.clock import Clock, ClockType
from rclpy.exceptions import NameValidationException
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from rclpy.validate_topic_name import validate_topic_name

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.yolo import yolo_message_type
from amodal_ros.ros.inputs.transforms import check_transforms_installed
from amodal_ros.ros.node.camera import Camera
from amodal_ros.ros.node.model_host import ModelHost
from amodal_ros.ros.node.model_loading import check_model_folder
from amodal_ros.ros.parameters.declaration import guard_changes, read_parameters
from amodal_ros.ros.parameters.spec import Effect
from amodal_ros.ros.parameters.table import PARAMETERS, PerceptionParameters

_PERIOD_S = 1.0
_TOPICS = (
    "image_topic",
    "detections_topic",
    "depth_topic",
    "camera_info_topic",
    "depth_camera_info_topic",
)
_MODEL_NAMES = tuple(spec.name for spec in PARAMETERS if spec.effect is Effect.MODEL)


class LiveParameters:
    """Compares the node's parameters with what is in force, and brings both together.

    rclpy tells of a change before it is made, and Humble not afterwards: the values are read
    again in the executor's next turn, and once a second in case that was too early.
    """

    def __init__(
        self,
        node: LifecycleNode,
        host: ModelHost,
        cameras: Callable[[], Mapping[str, Camera]],
    ) -> None:
        self._node = node
        self._host = host
        self._cameras = cameras
        self._in_force = self._asked_for = read_parameters(node)
        self._refused: PerceptionParameters | None = None
        self.model_failure = ""
        self._changed = node.create_guard_condition(self._apply)
        self._timer = node.create_timer(
            _PERIOD_S, self._apply, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        guard_changes(
            node,
            is_configured=lambda: self._host.serving is not None,
            check=self._check,
            on_change=self._changed.trigger,
        )

    @property
    def in_force(self) -> PerceptionParameters:
        """The values that the node works by at present."""
        return self._in_force

    def configure(self) -> PerceptionParameters:
        """Load the model and put the node's present values in force.

        Raises:
            AmodalError: if a value is wrong or the model cannot be used.
        """
        self.model_failure = ""
        self._in_force = self._asked_for = read_parameters(self._node)
        try:
            self._check(self._in_force)
            self._host.load(self._in_force)
        except Exception as error:
            self.model_failure = str(error)
            raise
        return self._in_force

    def take_up(self) -> PerceptionParameters:
        """The values to begin a session with; they are in force from now on."""
        self._apply()
        return self._in_force

    def _check(self, wanted: PerceptionParameters) -> None:
        """Refuses what the table cannot know: names ROS does not take, packages, folders."""
        for name in _TOPICS:
            topic = getattr(wanted, name)
            try:
                if topic:
                    validate_topic_name(topic)
            except NameValidationException as error:
                reason = str(error).partition("\n")[0].rstrip(":")  # below it the name, marked
                raise InvalidInputError(
                    f"parameter {name} is {topic!r}, expected the name of a topic: {reason}"
                ) from error
        if wanted.detections_type == "yolo_msgs":
            yolo_message_type()
        if wanted.target_frame or wanted.depth_camera_info_topic:
            check_transforms_installed()
        if self._host.serving is not None:
            check_model_folder(wanted)

    def _apply(self) -> None:
        if self._host.serving is None:
            return  # configure will read them
        self._take_back()
        before, wanted = self._in_force, read_parameters(self._node)
        self._in_force = wanted
        reconnects = wanted.changes(before, Effect.RECONNECT)
        retunes = wanted.changes(before, Effect.NEXT_FRAME)
        for camera in self._cameras().values():
            if reconnects:
                camera.reconnect(wanted)
            if retunes and camera.session is not None:
                camera.session.retune(wanted)
        if wanted.changes(self._asked_for, Effect.MODEL):
            self._asked_for = wanted
            self._node.get_logger().info("loading another model; the present one serves meanwhile")
            self._host.exchange(wanted, self._on_exchanged)

    def _take_back(self) -> None:
        """After a model that failed: the parameters say again which one serves."""
        refused, self._refused = self._refused, None
        serving = self._host.serving
        if refused is None or serving is None:
            return
        present = read_parameters(self._node)
        if present.changes(refused, Effect.MODEL):
            return  # somebody has asked for yet another one
        self._asked_for = serving
        self._node.set_parameters(
            [Parameter(name, value=getattr(serving, name)) for name in _MODEL_NAMES]
        )

    def _on_exchanged(self, parameters: PerceptionParameters, error: Exception | None) -> None:
        if error is None:
            self.model_failure = ""
            self._node.get_logger().info("the new model is warm and serves")
            return
        self.model_failure = str(error)
        self._node.get_logger().error(
            f"cannot change the model: {error}. The one before goes on serving"
        )
        self._refused = parameters
        self._changed.trigger()
