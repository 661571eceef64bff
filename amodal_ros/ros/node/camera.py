# SPDX-License-Identifier: Apache-2.0
"""One camera of a node: what it always has, and while it is active its inputs and its worker."""

from __future__ import annotations

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image

from amodal_ros.ros.inputs.camera_inputs import CameraInputs, Frame
from amodal_ros.ros.node.frame_pipeline import BegunFrame, FramePipeline
from amodal_ros.ros.node.latest_worker import LatestWorker
from amodal_ros.ros.node.model_host import ModelHost
from amodal_ros.ros.outputs.outputs_3d import Outputs3D
from amodal_ros.ros.outputs.publishers import Outputs
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import image_topic, of_camera
from amodal_ros.ros.watch.diagnostics import CameraState
from amodal_ros.ros.watch.faults import Fault, FaultLog
from amodal_ros.ros.watch.frame_statistics import FrameStatistics
from amodal_ros.tracking.budget import BudgetStatus
from amodal_ros.tracking.tracker import AmodalTracker

_PERIOD_S = 0.25


class Camera:
    """Publishes from ``configure`` on, is active from ``start`` to ``stop``."""

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
        statistics = FrameStatistics()
        pipeline = FramePipeline(
            *(self._host, parameters, self._outputs, self._outputs_3d, statistics, self.faults)
        )
        self.session = CameraSession(
            self._node, self._name, parameters, pipeline, statistics, self.faults
        )
        self._tell(parameters)

    def reconnect(self, parameters: PerceptionParameters) -> None:
        """Subscribe anew; the tracks stay."""
        if self.session is not None:
            self.session.reconnect(parameters)
            self._tell(parameters)

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
        counts, alarms, session = self.faults.counts(), self.faults.alarms(), self.session
        if session is None:
            return CameraState(self._name, active=False, counts=counts, alarms=alarms)
        return CameraState(
            self._name,
            active=True,
            summary=session.statistics.summary(),
            counts=counts,
            alarms=alarms,
            tracker=session.tracker.status(),
            budget=session.budget,
            reliability=session.inputs.image_reliability,
            lost_3d=self._outputs_3d.counts() if session.inputs.depth is not None else {},
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


class CameraSession:
    """Answers the frames of one camera from construction to ``close``.

    The node's executor receives and pairs messages (``inputs``); a worker takes the newest pair
    through the pipeline, which publishes. Where the engine gains from it, the image of the next
    pair is encoded meanwhile.

    Raises:
        InvalidInputError: if the type of the boxes is not installed.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        parameters: PerceptionParameters,
        pipeline: FramePipeline,
        statistics: FrameStatistics,
        faults: FaultLog,
    ) -> None:
        self._node = node
        self._name = name
        self._pipeline = pipeline
        self.statistics = statistics
        self._faults = faults
        self._worker: LatestWorker[Frame, BegunFrame | None] = LatestWorker(
            pipeline.begin,
            pipeline.finish,
            on_superseded=lambda frame: faults.count(Fault.SUPERSEDED),
            on_error=pipeline.failed,
            ahead=pipeline.encodes_ahead,
        )
        try:
            self.inputs = self._connect(parameters)
        except Exception:
            self._worker.stop()
            raise
        # Simulated time may stand still; what watches the inputs must not.
        self._timer = node.create_timer(
            _PERIOD_S, self._check, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    @property
    def tracker(self) -> AmodalTracker:
        """This camera's tracks."""
        return self._pipeline.tracker

    @property
    def budget(self) -> BudgetStatus:
        """What the frame budget comes to."""
        return self._pipeline.budget

    @property
    def newest_image(self) -> Image | CompressedImage | None:
        """The image received last, answered or not."""
        return self.inputs.newest_image

    def retune(self, parameters: PerceptionParameters) -> None:
        """Take up what counts from the next frame on; the tracks stay."""
        self._pipeline.retune(parameters)

    def reconnect(self, parameters: PerceptionParameters) -> None:
        """Subscribe anew; the tracks stay.

        Raises:
            InvalidInputError: if the type of the boxes is not installed; all stays as it was.
        """
        old, self.inputs = self.inputs, self._connect(parameters)
        old.close()

    def close(self) -> None:
        """Unsubscribe, and end the worker after the frame in work."""
        self._node.destroy_timer(self._timer)
        self.inputs.close()
        self._pipeline.cancel()
        self._worker.stop()
        self._pipeline.close()

    def _connect(self, parameters: PerceptionParameters) -> CameraInputs:
        return CameraInputs(
            *(self._node, self._name, parameters, self._faults, self.statistics),
            on_frame=self._worker.submit,
        )

    def _check(self) -> None:
        self.inputs.check(self._worker.idle_since_s)
