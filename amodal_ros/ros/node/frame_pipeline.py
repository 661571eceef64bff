# SPDX-License-Identifier: Apache-2.0
"""The way of one frame: messages to arrays, tracks, model, masks, publication."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, fields
from time import monotonic, perf_counter
from typing import Protocol

import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.inference.stopwatch import Stopwatch
from amodal_ros.occlusion.memory import OcclusionMemory
from amodal_ros.ros.convert.box_units import BoxUnits
from amodal_ros.ros.convert.compressed import message_to_rgb
from amodal_ros.ros.convert.masks import encode_masks
from amodal_ros.ros.inputs.box_reader import BoxReader
from amodal_ros.ros.inputs.camera_inputs import Frame
from amodal_ros.ros.inputs.depth_source import DepthImage
from amodal_ros.ros.node.frame_model import FrameModel
from amodal_ros.ros.node.model_host import ModelHost
from amodal_ros.ros.outputs.frame_geometry import DepthFrame
from amodal_ros.ros.outputs.image_depth import depth_at_once
from amodal_ros.ros.outputs.outputs_3d import Taker3D
from amodal_ros.ros.outputs.publishers import FrameAnswer
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.ros.watch.frame_statistics import FrameStatistics
from amodal_ros.ros.watch.plausibility import exposure
from amodal_ros.tracking.asking import ask
from amodal_ros.tracking.budget import BudgetStatus
from amodal_ros.tracking.frames import BudgetedFrames
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections

_LONGEST_LOOK_S = 60.0


@dataclass(frozen=True, eq=False)
class BegunFrame:
    """A frame before its turn: what does not depend on the frames before it.

    Attributes:
        frame: its messages.
        rgb: (H, W, 3) uint8, maybe a view of the message.
        detections: its usable boxes.
        depth: its depth image, if that is there already: a slow engine outlasts their queue.
        model: asked for it; it may have encoded it ahead.
        watch: the times so far.
        taken_s: monotonic time when the frame was taken.
        ready_s: monotonic time since when it waits for its turn.
    """

    frame: Frame
    rgb: np.ndarray
    detections: Detections
    depth: DepthImage | None
    model: FrameModel
    watch: Stopwatch
    taken_s: float
    ready_s: float


class AnswerTaker(Protocol):
    """Where answers go: ``Outputs`` publishes them."""

    def publish(
        self, answer: FrameAnswer, waited_ms: dict[str, float], faults: FaultLog
    ) -> dict[str, float]:
        """Take one answer; returns all times of the frame in milliseconds."""


class FramePipeline:
    """Answers a camera's frames in their order; holds the tracks between them.

    ``begin`` and ``finish`` run in threads of a worker, one call of each at a time.
    """

    def __init__(
        self,
        host: ModelHost,
        parameters: PerceptionParameters,
        outputs: AnswerTaker,
        outputs_3d: Taker3D | None,
        statistics: FrameStatistics,
        faults: FaultLog,
        tracker: AmodalTracker | None = None,
    ) -> None:
        self._host = host
        self._engine = host.health(faults)
        self._outputs = outputs
        self._outputs_3d = outputs_3d
        self._statistics = statistics
        self._faults = faults
        self._exposure = Doubt(faults, Fault.EXPOSURE, begin=3)
        self._boxes = BoxReader(faults, BoxUnits.parse(parameters.box_units))
        self._cancelled = False
        self.tracker = AmodalTracker(tracker_config(parameters)) if tracker is None else tracker
        self._frames = BudgetedFrames(self.tracker)
        self._memory = OcclusionMemory()
        self._parameters = parameters

    def retune(self, parameters: PerceptionParameters) -> None:
        """Take up what counts from the next frame on; the tracks stay."""
        self.tracker.config = tracker_config(parameters)
        self._boxes.units = BoxUnits.parse(parameters.box_units)
        self._parameters = parameters

    def cancel(self) -> None:
        """Let the frames in work end early and unpublished; the engine may be interrupted."""
        self._cancelled = True

    def close(self) -> None:
        """End what is told of images, boxes and depth; after the last frame."""
        self._frames.close()
        for told in (self._boxes, self._exposure, self._outputs_3d):
            if told is not None:
                told.clear()

    @property
    def budget(self) -> BudgetStatus:
        """What the frame budget comes to, as of the last frame."""
        return self._frames.status

    def encodes_ahead(self) -> bool:
        """Whether the next image is to be encoded while the objects of this one are predicted."""
        if self._cancelled or not self._parameters.encode_ahead:
            return False
        predictor = self._host.predictor
        return predictor is not None and predictor.encodes_ahead

    def begin(self, frame: Frame) -> BegunFrame | None:
        """Convert a frame's messages; None if its image is bad (counted).

        May run while the frame before is in ``finish``. What it returns must go to ``finish``.

        Raises:
            AmodalError: if the engine fails, which may encode ahead.
        """
        taken_s = monotonic()
        depth = None if frame.depth is None else frame.depth.at(frame.stamp_ns)
        watch, bits = Stopwatch("convert", "track", "message"), self._parameters.image_bits
        with watch.measure("convert"):
            try:
                rgb = message_to_rgb(frame.image, bits)
            except InvalidInputError as error:
                self._faults.report(Fault.BAD_IMAGE, f"image left out: {error}")
                return None
            self._exposure.see(exposure(rgb, getattr(frame.image, "encoding", ""), bits))
            found = self._boxes.read(
                frame.detections,
                rgb.shape[:2],
                self._parameters.min_score,
                self._parameters.max_objects,
            )
        model = FrameModel(self._host, rgb)
        if self.encodes_ahead() and (len(found) or len(self.tracker)):
            model.encoded()
        return BegunFrame(frame, rgb, found, depth, model, watch, taken_s, monotonic())

    def finish(self, begun: BegunFrame | None) -> None:
        """Answer a frame in its turn and publish the answer.

        Raises:
            AmodalError: if the engine fails; the tracks are then those of the frame before.
        """
        if begun is None:
            return
        frame = begun.frame
        wait_s = begun.taken_s - frame.received_s + monotonic() - begun.ready_s
        answer = self._answer(begun)
        if answer is None:
            return
        waited_ms = {"transport": frame.transport_ms, "wait": wait_s * 1e3}
        timings_ms = self._outputs.publish(answer, waited_ms, self._faults)
        self._frames.published()
        self._statistics.answered((monotonic() - frame.received_s) * 1e3, timings_ms["total"])
        self._engine.answered()
        if frame.depth is not None and self._outputs_3d is not None:
            depth = answer.depth or begun.depth or frame.depth.at(frame.stamp_ns)
            of_image = frame.image.header, begun.rgb.shape[:2]
            self._outputs_3d.publish(
                answer.objects, DepthFrame(*of_image, depth, frame.depth, self._parameters)
            )

    def failed(self, error: Exception) -> None:
        """A frame was lost by an error of ``begin`` or ``finish``."""
        if not self._cancelled:  # or else the engine was interrupted
            self._engine.failed(error)

    def _answer(self, begun: BegunFrame) -> FrameAnswer | None:
        """Tracks, model and mask message of a frame; None if it was cancelled."""
        watch, rgb, image_hw = begun.watch, begun.rgb, begun.rgb.shape[:2]
        budget_s = self._budget_s()
        # A look that began under a budget is taken in before there is none.
        self._frames.begin(wait_s=0.0 if budget_s > 0 else _LONGEST_LOOK_S)
        with closing(begun.model):
            with watch.measure("track"):
                plan = self.tracker.plan(
                    begun.detections, begun.frame.stamp_ns / 1e9, image_hw, rgb
                )
            if budget_s > 0:
                predictor = self._host.predictor
                objects, prediction = self._frames.answer(
                    *(plan, begun.model.look, budget_s),
                    begun_s=image_taken_s(begun.frame, budget_s),
                    small=predictor is not None and predictor.looks_small,
                )
                looked_ms = {} if prediction is None else prediction.timings_ms
                return self._encoded(begun, objects, looked_ms)
            prediction = AmodalPrediction.empty(image_hw)
            engine_ms = begun.model.encoded_ms
            if len(plan.boxes_xyxy):
                predicted = self._predict(begun, plan)
                if predicted is None:
                    return None
                plan, prediction, engine_ms = predicted
        if self._cancelled:
            return None
        with watch.measure("track"):
            objects = self.tracker.update(plan, prediction)
        return self._encoded(begun, objects, engine_ms)

    def _encoded(
        self,
        begun: BegunFrame,
        objects: tuple[TrackedObject, ...],
        engine_ms: Mapping[str, float],
    ) -> FrameAnswer | None:
        """The message; None if the frame was cancelled."""
        if self._cancelled:
            return None
        with begun.watch.measure("message"):
            header = begun.frame.image.header
            image_hw, parameters = begun.rgb.shape[:2], self._parameters
            depth = None
            if len(objects) > 1:  # who is alone is hidden by nobody
                depth = depth_at_once(begun.frame, begun.depth, image_hw, parameters)
            depth_m = None if depth is None else depth.depth_m
            encoded = encode_masks(
                objects, header, image_hw, depth_m, parameters.upright, self._memory
            )
        self._faults.count(Fault.EMPTY_MASK, encoded.empty)
        self._faults.count(Fault.CYCLE, len(encoded.graph.cycles))
        self._faults.count(Fault.CONTRADICTION, len(encoded.graph.contradictions))
        timings_ms = {**engine_ms, **begun.watch.timings_ms}
        return FrameAnswer(
            *(encoded.message, encoded.objects, begun.rgb, timings_ms, depth),
            interval_s=self._statistics.interval_s(),
            upright=parameters.upright,
        )

    def _budget_s(self) -> float:
        """Seconds of a frame that the model may take; 0: no budget, or none is known yet."""
        given_s = self._parameters.frame_budget
        return given_s if given_s >= 0 else self._statistics.interval_s()

    def _predict(
        self, begun: BegunFrame, plan: TrackPlan
    ) -> tuple[TrackPlan, AmodalPrediction, Mapping[str, float]] | None:
        """Masks of the planned objects and the engine's times; None if it was cancelled.

        Objects that were lost in the frame are asked for once more; the plan is then another one.
        """
        predictor, features = begun.model.encoded()
        if self._cancelled:
            return None
        with begun.watch.measure("track"):
            _ = plan.prior_masks  # made when they are first asked for: their time counts here
        prediction = ask(predictor, features, plan)
        with begun.watch.measure("track"):
            again = self.tracker.look_again(plan, prediction)
        if again is not None and not self._cancelled:
            second = predictor.predict(features, again.boxes_xyxy)
            plan, prediction = again.plan, again.joined(prediction, second)
        return plan, prediction, {**features.timings_ms, **prediction.timings_ms}


def image_taken_s(frame: Frame, budget_s: float) -> float:
    """When a frame's image was taken, by `perf_counter`.

    Its stamp says so, unless the clock that stamps is another one, or the image comes from a
    recording: then it was received more than a frame after its stamp, or before it, and its
    reception counts.
    """
    transport_s = frame.transport_ms / 1e3
    since_s = monotonic() - frame.received_s
    return perf_counter() - since_s - (transport_s if 0 <= transport_s <= budget_s else 0.0)


def tracker_config(parameters: PerceptionParameters) -> TrackerConfig:
    """How the parameters want objects followed: those of the same names."""
    names = [entry.name for entry in fields(TrackerConfig)]
    return TrackerConfig(**{name: getattr(parameters, name) for name in names})
