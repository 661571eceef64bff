# SPDX-License-Identifier: Apache-2.0
"""The tracker and what it is compared with: each answers the same frames of a clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from amodal_ros.image.boxes import box_iou, expand_boxes
from amodal_ros.image.masks import dilate_mask, mask_box
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections
from benchmarks.tracking.clips import ClipFrame
from benchmarks.tracking.segmenters import Ask, Prior


@dataclass(frozen=True, eq=False)
class FrameAnswer:
    """What a variant says of a frame.

    Attributes:
        track_ids: (M,) int; -1: the variant gives none.
        detections: (M,) int, row of the box behind it; -1: none.
        visible_masks: (M, H, W) bool.
        amodal_masks: (M, H, W) bool.
    """

    track_ids: NDArray[np.int64]
    detections: NDArray[np.int64]
    visible_masks: NDArray[np.bool_]
    amodal_masks: NDArray[np.bool_]

    @classmethod
    def of_objects(
        cls, objects: Sequence[TrackedObject], detections: object, hw: tuple[int, int]
    ) -> FrameAnswer:
        """What a tracker published of M objects; (M,) the boxes' rows."""
        return cls(
            np.array([item.track_id for item in objects], np.int64),
            np.asarray(detections, np.int64),
            np.array([item.visible_mask for item in objects], bool).reshape(-1, *hw),
            np.array([item.amodal_mask for item in objects], bool).reshape(-1, *hw),
        )

    @classmethod
    def of_boxes(cls, track_ids: object, prediction: AmodalPrediction) -> FrameAnswer:
        """One object for each box; (M,) identities."""
        return cls(
            np.asarray(track_ids, np.int64),
            np.arange(len(prediction)),
            prediction.visible_masks,
            prediction.amodal_masks,
        )


class Variant(Protocol):
    """Answers the frames of one clip in order."""

    def answer(self, frame: ClipFrame, found: Detections, ask: Ask) -> FrameAnswer:
        """Answer a frame; `ask` segments objects in it."""


def moved_masks(plan: TrackPlan) -> Sequence[Prior | None]:
    """M_spec is the moved mask, as in the node."""
    return plan.prior_masks


def boxes(plan: TrackPlan) -> Sequence[Prior | None]:
    """M_spec is made from the prompt's box in every frame."""
    return [None] * len(plan)


Specs = Callable[[TrackPlan], Sequence[Prior | None]]


class Feedback:
    """The node's tracker: the previous amodal mask is M_spec, hidden objects coast.

    Args:
        config: of the tracker; None: its defaults.
        specs: M_spec of a plan's objects; all else is the same.
    """

    def __init__(self, config: TrackerConfig | None = None, specs: Specs = moved_masks) -> None:
        self._tracker = AmodalTracker(config)
        self._specs = specs

    def answer(self, frame: ClipFrame, found: Detections, ask: Ask) -> FrameAnswer:
        """See `Variant`."""
        plan = self._tracker.plan(found, frame.stamp_s, frame.hw, frame.image_rgb)
        objects = self._followed(plan, ask)
        return FrameAnswer.of_objects(objects, plan.detection_index, frame.hw)

    def _followed(self, plan: TrackPlan, ask: Ask) -> tuple[TrackedObject, ...]:
        """Asks for a plan's objects, for lost ones twice, as the node does."""
        prediction = ask(plan.boxes_xyxy, self._specs(plan), plan.tight)
        again = self._tracker.look_again(plan, prediction)
        if again is not None:
            second = ask(again.boxes_xyxy, [None] * len(again.rows))
            plan, prediction = again.plan, again.joined(prediction, second)
        return self._tracker.update(plan, prediction)


class GivenFeedback(Feedback):
    """The node's tracker, each box given to it by hand, as with ``~/add_object``."""

    def answer(self, frame: ClipFrame, found: Detections, ask: Ask) -> FrameAnswer:
        """See `Variant`."""
        rows = {self._tracker.add_object(box): row for row, box in enumerate(found.boxes_xyxy)}
        plan = self._tracker.plan(Detections.empty(), frame.stamp_s, frame.hw, frame.image_rgb)
        objects = self._followed(plan, ask)
        detections = [rows.get(item.track_id, -1) for item in objects]
        return FrameAnswer.of_objects(objects, detections, frame.hw)


class NoFeedback:
    """Each frame by itself: M_spec is the expanded box."""

    def answer(self, frame: ClipFrame, found: Detections, ask: Ask) -> FrameAnswer:
        """See `Variant`."""
        boxes = found.boxes_xyxy
        prediction = ask(boxes, [None] * len(boxes))
        return FrameAnswer.of_boxes(np.full(len(boxes), -1), prediction)


class BoxPropagation:
    """The box of the last visible mask, a little larger, is the next prompt; no M_spec."""

    def __init__(self, growth: float = 1.06) -> None:
        self._growth = growth
        self._boxes = np.zeros((0, 4), np.float32)

    def answer(self, frame: ClipFrame, found: Detections, ask: Ask) -> FrameAnswer:
        """See `Variant`."""
        followed = len(self._boxes)
        boxes = np.concatenate([self._boxes, found.boxes_xyxy])
        prediction = ask(boxes, [None] * len(boxes))
        seen = prediction.visible_masks
        limits = np.array([frame.hw[1], frame.hw[0]] * 2, np.float32)
        self._boxes = np.array(
            [
                np.clip(expand_boxes([mask_box(mask)], self._growth)[0], 0, limits)
                if mask.any()
                else box
                for box, mask in zip(boxes, seen, strict=True)
            ],
            np.float32,
        ).reshape(-1, 4)
        rows = np.arange(len(boxes)) - followed
        return FrameAnswer(np.arange(len(boxes)), np.maximum(rows, -1), seen, seen)


class PlainIou:
    """Boxes are matched to those of the frame before by IoU; a track that is missed ends.

    The previous amodal mask, dilated but not moved, is M_spec.
    """

    def __init__(self, min_iou: float = 0.3, dilation: float = 0.1) -> None:
        self._min_iou = min_iou
        self._dilation = dilation
        self._boxes = np.zeros((0, 4), np.float32)
        self._ids = np.zeros(0, np.int64)
        self._masks: NDArray[np.bool_] = np.zeros((0, 1, 1), bool)
        self._next_id = 0

    def answer(self, frame: ClipFrame, found: Detections, ask: Ask) -> FrameAnswer:
        """See `Variant`."""
        boxes = found.boxes_xyxy
        ids = np.full(len(boxes), -1)
        priors: list[NDArray[np.bool_] | None] = [None] * len(boxes)
        overlap = box_iou(boxes, self._boxes)
        for row, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
            mask = self._masks[column]
            if overlap[row, column] >= self._min_iou:
                ids[row] = self._ids[column]
                if mask.any():
                    reach = self._dilation * np.sqrt(np.count_nonzero(mask))
                    priors[row] = dilate_mask(mask, float(reach))
        for row in np.flatnonzero(ids < 0):
            ids[row] = self._next_id
            self._next_id += 1
        prediction = ask(boxes, priors)
        self._boxes, self._ids, self._masks = boxes, ids, prediction.amodal_masks
        return FrameAnswer.of_boxes(ids, prediction)


FEEDBACK, NO_FEEDBACK, PLAIN_IOU = "feedback", "no feedback", "plain IoU"
BOX_SPEC, PROPAGATION = "box as M_spec", "box propagation"
VARIANTS: dict[str, Callable[[], Variant]] = {
    FEEDBACK: Feedback,
    BOX_SPEC: partial(Feedback, specs=boxes),
    NO_FEEDBACK: NoFeedback,
    PLAIN_IOU: PlainIou,
}
GIVEN_VARIANTS: dict[str, Callable[[], Variant]] = {
    FEEDBACK: GivenFeedback,
    BOX_SPEC: partial(GivenFeedback, specs=boxes),
    PROPAGATION: BoxPropagation,
}
