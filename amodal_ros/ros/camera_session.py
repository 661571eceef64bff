# SPDX-License-Identifier: Apache-2.0
"""What lives while the perception node is active: subscriptions, pairing, the worker, tracks."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from amodal_ros.ros.faults import Fault, FaultLog
from amodal_ros.ros.frame_pipeline import FramePipeline, Predictor
from amodal_ros.ros.latest_worker import LatestWorker
from amodal_ros.ros.outputs import Outputs
from amodal_ros.ros.pairing import FramePair, FramePairer, PairerConfig
from amodal_ros.ros.parameters import PerceptionParameters
from amodal_ros.ros.session_watch import SessionWatch
from amodal_ros.ros.stamps import NS_PER_S, stamp_to_ns
from amodal_ros.tracker import AmodalTracker, TrackerConfig

_EXPIRY_PERIOD_S = 0.25


@dataclass(frozen=True)
class _ReceivedImage:
    message: Image
    transport_ms: float


_Pair = FramePair[_ReceivedImage, Detection2DArray]


class CameraSession:
    """Answers the frames of one camera from construction to ``close``.

    The node's executor receives and pairs messages; a worker thread takes the newest pair, runs
    the model and publishes.

    Args:
        node: owns the subscriptions.
        parameters: topics, pairing, tracking, limits.
        predictor: the loaded model.
        outputs: where answers go.
        faults: where losses are counted.
    """

    def __init__(
        self,
        node: LifecycleNode,
        parameters: PerceptionParameters,
        predictor: Predictor,
        outputs: Outputs,
        faults: FaultLog,
    ) -> None:
        self._node = node
        self._outputs = outputs
        self._faults = faults
        self._pipeline = FramePipeline(
            predictor,
            AmodalTracker(_tracker_config(parameters)),
            faults,
            parameters.min_score,
            parameters.max_objects,
        )
        self._pairer: FramePairer[_ReceivedImage, Detection2DArray] = FramePairer(
            _pairer_config(parameters), faults
        )
        self._worker: LatestWorker[_Pair] = LatestWorker(
            self._answer,
            on_superseded=lambda pair: faults.count(Fault.SUPERSEDED),
            on_error=self._report_engine_error,
        )
        self._images = node.create_subscription(
            Image, parameters.image_topic, self._on_image, _image_qos(parameters)
        )
        self._detections = node.create_subscription(
            Detection2DArray,
            parameters.detections_topic,
            self._on_detections,
            _detections_qos(parameters),
        )
        self._expiry = node.create_timer(
            _EXPIRY_PERIOD_S, self._on_expiry, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._watch = SessionWatch(
            node,
            faults,
            camera=parameters.image_topic,
            detector=parameters.detections_topic,
            on_time_backward=self._pairer.clear,
        )

    def close(self) -> None:
        """Unsubscribe, and end the worker after the frame in work."""
        self._node.destroy_subscription(self._images)
        self._node.destroy_subscription(self._detections)
        self._node.destroy_timer(self._expiry)
        self._watch.close()
        self._worker.stop()

    def _on_image(self, message: Image) -> None:
        self._watch.image_came()
        stamp_ns = stamp_to_ns(message.header.stamp)
        transport_ms = (self._node.get_clock().now().nanoseconds - stamp_ns) / 1e6
        received = _ReceivedImage(message, transport_ms)
        self._submit(self._pairer.add_image(stamp_ns, received, monotonic()))

    def _on_detections(self, message: Detection2DArray) -> None:
        self._watch.detections_came()
        stamp_ns = stamp_to_ns(message.header.stamp)
        self._submit(self._pairer.add_detections(stamp_ns, message, monotonic()))

    def _on_expiry(self) -> None:
        self._pairer.expire(monotonic())

    def _submit(self, pair: _Pair | None) -> None:
        if pair is not None:
            self._worker.submit(pair)

    def _answer(self, pair: _Pair) -> None:
        waited_ms = {
            "transport": pair.image.transport_ms,
            "wait": (monotonic() - pair.image_received_s) * 1e3,
        }
        answer = self._pipeline.answer(
            pair.image.message, pair.detections, cancelled=lambda: self._worker.stopping
        )
        if answer is not None:
            self._outputs.publish(answer, waited_ms, self._faults)
            self._watch.engine.answered()

    def _report_engine_error(self, error: Exception) -> None:
        if not self._worker.stopping:  # or else it was interrupted
            self._watch.engine.failed(error)


def _pairer_config(parameters: PerceptionParameters) -> PairerConfig:
    return PairerConfig(
        slop_ns=round(parameters.slop * NS_PER_S),
        queue_size=parameters.sync_queue_size,
        timeout_s=parameters.sync_timeout,
    )


def _tracker_config(parameters: PerceptionParameters) -> TrackerConfig:
    return TrackerConfig(
        max_coast_s=parameters.max_coast,
        prior_dilation=parameters.prior_dilation,
        match_iou=parameters.match_iou,
        max_objects=parameters.max_objects,
    )


def _image_qos(parameters: PerceptionParameters) -> QoSProfile:
    reliable = parameters.image_reliability == "reliable"
    return QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
    )


def _detections_qos(parameters: PerceptionParameters) -> QoSProfile:
    # Best effort matches publishers of either kind.
    return QoSProfile(depth=parameters.sync_queue_size, reliability=ReliabilityPolicy.BEST_EFFORT)
