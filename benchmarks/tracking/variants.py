# SPDX-License-Identifier: Apache-2.0
"""The tracker and what it is compared with: each answers the same frames of a clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from amodal_ros.image.boxes import box_iou
from amodal_ros.image.masks import dilate_mask
from amodal_ros.tracking.tracker import AmodalTracker, TrackerConfig
from amodal_ros.types import Detections
from benchmarks.tracking.clips import ClipFrame
from benchmarks.tracking.segmenters import FrameSegmenter


@dataclass(frozen=True, eq=False)
class FrameAnswer:
    """What a variant says of a frame.

    Attributes:
        track_ids: (M,) int; -1: the variant gives none.
        detections: (M,) int, row of the detection behind it; -1: it coasts.
        amodal_masks: (M, H, W) bool.
    """

    track_ids: NDArray[np.int64]
    detections: NDArray[np.int64]
    amodal_masks: NDArray[np.bool_]


class Variant(Protocol):
    """Answers the frames of one clip in order."""

    def answer(self, frame: ClipFrame, segmenter: FrameSegmenter) -> FrameAnswer:
        """Answer a frame; the segmenter has been turned to it."""


class Feedback:
    """The node's tracker: the previous amodal mask is M_spec, hidden objects coast."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self._tracker = AmodalTracker(config)

    def answer(self, frame: ClipFrame, segmenter: FrameSegmenter) -> FrameAnswer:
        """See `Variant`."""
        found = Detections.from_boxes(frame.boxes_xyxy)
        plan = self._tracker.plan(found, frame.stamp_s, frame.hw, frame.image_rgb)
        prediction = segmenter.segment(plan.boxes_xyxy, plan.prior_masks)
        objects = self._tracker.update(plan, prediction)
        return FrameAnswer(
            plan.track_ids.astype(np.int64),
            plan.detection_index.astype(np.int64),
            np.array([item.amodal_mask for item in objects], bool).reshape(-1, *frame.hw),
        )


class NoFeedback:
    """Each frame by itself: M_spec is the expanded box."""

    def answer(self, frame: ClipFrame, segmenter: FrameSegmenter) -> FrameAnswer:
        """See `Variant`."""
        boxes = frame.boxes_xyxy
        prediction = segmenter.segment(boxes, [None] * len(boxes))
        rows = np.arange(len(boxes))
        return FrameAnswer(np.full(len(boxes), -1), rows, prediction.amodal_masks)


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

    def answer(self, frame: ClipFrame, segmenter: FrameSegmenter) -> FrameAnswer:
        """See `Variant`."""
        boxes = frame.boxes_xyxy
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
        masks = segmenter.segment(boxes, priors).amodal_masks
        self._boxes, self._ids, self._masks = boxes, ids, masks
        return FrameAnswer(ids, np.arange(len(boxes)), masks)


FEEDBACK, NO_FEEDBACK, PLAIN_IOU = "feedback", "no feedback", "plain IoU"
VARIANTS: dict[str, Callable[[], Variant]] = {
    FEEDBACK: Feedback,
    NO_FEEDBACK: NoFeedback,
    PLAIN_IOU: PlainIou,
}
