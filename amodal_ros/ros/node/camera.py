# SPDX-License-Identifier: Apache-2.0
"""One camera of a configured node: publishers, counters and, while active, its session."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode

from amodal_ros.ros.node.camera_session import CameraSession
from amodal_ros.ros.node.model_host import ModelHost
from amodal_ros.ros.outputs.outputs_3d import Outputs3D
from amodal_ros.ros.outputs.publishers import Outputs
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import image_topic, of_camera
from amodal_ros.ros.watch.diagnostics import CameraState
from amodal_ros.ros.watch.faults import FaultLog


class Camera:
    """Publishes from ``configure`` on, is active from ``start`` to ``stop``.

    Args:
        node: owns publishers and subscriptions.
        name: prefixes topics and services; empty: the only camera.
        host: lends the model.
    """

    def __init__(self, node: LifecycleNode, name: str, host: ModelHost) -> None:
        self._node = node
        self._name = name
        self._host = host
        self.faults = FaultLog(node.get_logger().warning)
        self.session: CameraSession | None = None
        self._outputs = Outputs(node, name)
        self._outputs_3d = Outputs3D(node, name, self.faults)
        self._destroyed = False

    def start(self, parameters: PerceptionParameters) -> None:
        """Subscribe and answer.

        Raises:
            InvalidInputError: if the type of the boxes is not installed.
        """
        self.session = CameraSession(
            self._node,
            self._name,
            parameters,
            self._host,
            self._outputs,
            self._outputs_3d,
            self.faults,
        )
        self._tell(parameters)

    def reconnect(self, parameters: PerceptionParameters) -> None:
        """Subscribe anew; the tracks stay."""
        if self.session is not None:
            self.session.reconnect(parameters)
            self._tell(parameters)

    def retune(self, parameters: PerceptionParameters) -> None:
        """Take up what counts from the next frame on."""
        if self.session is not None:
            self.session.retune(parameters)

    def stop(self) -> None:
        """End the session after the frame in work; can be called twice."""
        session, self.session = self.session, None
        if session is not None:
            session.close()

    def destroy(self) -> None:
        """Destroy the publishers; can be called twice. The counters stay."""
        if not self._destroyed:
            self._destroyed = True
            self._outputs.destroy()
            self._outputs_3d.destroy()

    def state(self) -> CameraState:
        """For diagnostics."""
        session = self.session
        if session is None:
            return CameraState(
                self._name,
                active=False,
                counts=self.faults.counts(),
                alarms=self.faults.alarms(),
            )
        return CameraState(
            self._name,
            active=True,
            summary=session.statistics.summary(),
            counts=self.faults.counts(),
            alarms=self.faults.alarms(),
            tracker=session.tracker.status(),
            reliability=session.image_reliability,
            lost_3d=self._outputs_3d.counts() if session.has_depth else {},
        )

    def _tell(self, parameters: PerceptionParameters) -> None:
        def resolved(topic: str) -> str:
            return self._node.resolve_topic_name(of_camera(self._name, topic))

        boxes = "no detector"
        if parameters.detections_topic:
            boxes = f"boxes from {resolved(parameters.detections_topic)}"
        depth = (
            f", depth from {resolved(parameters.depth_topic)}" if parameters.depth_topic else ""
        )
        images = resolved(image_topic(parameters))
        self._node.get_logger().info(f"active: images from {images}, {boxes}{depth}")
