# SPDX-License-Identifier: Apache-2.0
"""One camera of an active node: inputs, the worker, tracks, outputs."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image

from amodal_ros.ros.convert.box_units import BoxUnits
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.inputs.box_reader import BoxReader
from amodal_ros.ros.inputs.camera_inputs import CameraInputs, Frame, ReceivedImage
from amodal_ros.ros.inputs.depth_input import DepthImage
from amodal_ros.ros.node.frame_pipeline import BegunFrame, FramePipeline
from amodal_ros.ros.node.latest_worker import LatestWorker
from amodal_ros.ros.node.model_host import ModelHost
from amodal_ros.ros.outputs.outputs_3d import Outputs3D
from amodal_ros.ros.outputs.publishers import Outputs
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.faults import Fault, FaultLog
from amodal_ros.ros.watch.frame_statistics import FrameStatistics
from amodal_ros.tracking.tracker import AmodalTracker, TrackerConfig


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A frame that waits for its turn.

    Attributes:
        frame: its messages.
        begun: what the pipeline made of them; None: the image is bad.
        waited_ms: ``transport``, and ``wait`` until it was taken.
        since_s: monotonic time since when it waits for its turn.
        depth: its depth image, if that is there already.
    """

    frame: Frame
    begun: BegunFrame | None
    waited_ms: dict[str, float]
    since_s: float
    depth: DepthImage | None


class CameraSession:
    """Answers the frames of one camera from construction to ``close``.

    The node's executor receives and pairs messages; a worker takes the newest pair, runs the model
    and publishes. Where the engine gains from it, the image of the next pair is encoded meanwhile.

    Args:
        node: owns the subscriptions.
        camera: name that prefixes topics; empty: none.
        parameters: topics, pairing, tracking, limits.
        host: lends the model.
        outputs: where answers go.
        outputs_3d: where go those with depth.
        faults: where losses are counted.
    """

    def __init__(
        self,
        node: LifecycleNode,
        camera: str,
        parameters: PerceptionParameters,
        host: ModelHost,
        outputs: Outputs,
        outputs_3d: Outputs3D,
        faults: FaultLog,
    ) -> None:
        self._node = node
        self._camera = camera
        self._outputs = outputs
        self._outputs_3d = outputs_3d
        self._faults = faults
        self._newest_lock = threading.Lock()
        self._newest_image: Image | CompressedImage | None = None
        self.statistics = FrameStatistics()
        self._pipeline = FramePipeline(
            host.lend,
            AmodalTracker(tracker_config(parameters)),
            faults,
            BoxReader(faults, BoxUnits.parse(parameters.box_units)),
        )
        self._host = host
        self.retune(parameters)
        self._worker: LatestWorker[Frame, _Prepared] = LatestWorker(
            self._prepare,
            self._answer,
            on_superseded=lambda frame: faults.count(Fault.SUPERSEDED),
            on_error=self._report_engine_error,
            ahead=self._encodes_ahead,
        )
        try:
            self._inputs = self._connect(parameters)
        except Exception:
            self._worker.stop()
            raise

    @property
    def tracker(self) -> AmodalTracker:
        """This camera's tracks."""
        return self._pipeline.tracker

    @property
    def image_reliability(self) -> str:
        """What is asked of the image publishers at present."""
        return self._inputs.image_reliability

    @property
    def has_depth(self) -> bool:
        """Whether depth is subscribed."""
        return self._inputs.depth is not None

    @property
    def newest_image(self) -> Image | CompressedImage | None:
        """The image received last, answered or not."""
        with self._newest_lock:
            return self._newest_image

    def retune(self, parameters: PerceptionParameters) -> None:
        """Take up what counts from the next frame on; the tracks stay."""
        self._pipeline.tracker.config = tracker_config(parameters)
        self._pipeline.min_score = parameters.min_score
        self._pipeline.image_bits = parameters.image_bits
        self._pipeline.boxes.units = BoxUnits.parse(parameters.box_units)
        self._stride = parameters.point_stride
        self._depth_scale = parameters.depth_scale
        self._encode_ahead = parameters.encode_ahead

    def reconnect(self, parameters: PerceptionParameters) -> None:
        """Subscribe anew; the tracks stay.

        Raises:
            InvalidInputError: if the type of the boxes is not installed; all stays as it was.
        """
        old, self._inputs = self._inputs, self._connect(parameters)
        old.close()

    def close(self) -> None:
        """Unsubscribe, and end the worker after the frame in work."""
        self._inputs.close()
        self._worker.stop()
        self._pipeline.clear_alarms()
        self._outputs_3d.clear()

    def _connect(self, parameters: PerceptionParameters) -> CameraInputs:
        return CameraInputs(
            self._node,
            self._camera,
            parameters,
            self._faults,
            on_image=self._remember_image,
            on_frame=self._worker.submit,
            idle_since=lambda: self._worker.idle_since_s,
        )

    def _remember_image(self, received: ReceivedImage) -> None:
        self.statistics.image_came()
        with self._newest_lock:
            self._newest_image = received.message

    def _encodes_ahead(self) -> bool:
        predictor = self._host.predictor if self._encode_ahead else None
        return predictor is not None and predictor.encodes_ahead

    def _prepare(self, frame: Frame) -> _Prepared:
        waited_ms = {
            "transport": frame.image.transport_ms,
            "wait": (monotonic() - frame.image_received_s) * 1e3,
        }
        depth_input = self._inputs.depth
        # Now, since a slow engine outlasts the queue of depth images.
        depth = depth_input.at(frame.stamp_ns) if depth_input is not None else None
        ahead = self._encodes_ahead() and not self._worker.stopping
        begun = self._pipeline.begin(frame.image.message, frame.detections, ahead)
        return _Prepared(frame, begun, waited_ms, monotonic(), depth)

    def _answer(self, prepared: _Prepared) -> None:
        if prepared.begun is None:
            return
        waited_ms = dict(prepared.waited_ms)
        waited_ms["wait"] += (monotonic() - prepared.since_s) * 1e3
        answer = self._pipeline.finish(prepared.begun, cancelled=lambda: self._worker.stopping)
        if answer is None:
            return
        timings_ms = self._outputs.publish(answer, waited_ms, self._faults)
        latency_ms = (monotonic() - prepared.frame.image_received_s) * 1e3
        self.statistics.answered(latency_ms, timings_ms["total"])
        self._inputs.watch.engine.answered()
        depth_input = self._inputs.depth
        if depth_input is not None:
            header = answer.masks.header
            depth = prepared.depth or depth_input.at(stamp_to_ns(header.stamp))
            self._outputs_3d.publish(
                answer.objects, header, depth, depth_input, self._stride, self._depth_scale
            )

    def _report_engine_error(self, error: Exception) -> None:
        if not self._worker.stopping:  # or else it was interrupted
            self._inputs.watch.engine.failed(error)


def tracker_config(parameters: PerceptionParameters) -> TrackerConfig:
    """How the parameters want objects followed."""
    return TrackerConfig(
        max_coast_s=parameters.max_coast,
        max_drift_s=parameters.max_drift,
        score_half_life_s=parameters.score_half_life,
        prior_dilation=parameters.prior_dilation,
        match_iou=parameters.match_iou,
        agreement_iou=parameters.agreement_iou,
        coast_iou=parameters.coast_iou,
        min_predicted_iou=parameters.min_predicted_iou,
        max_area_jump=parameters.max_area_jump,
        max_objects=parameters.max_objects,
    )
