# SPDX-License-Identifier: Apache-2.0
"""A node's way with each frame, with a model that takes as long as a test says: no real clock."""

from __future__ import annotations

import cv2
import numpy as np

from amodal_ros.tracking.budget import count_small
from amodal_ros.tracking.frames import BudgetedFrames, Looked
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections
from benchmarks.streaming import virtual as streaming

HW = (100, 400)
INTERVAL_S = 0.1
CARRY_S = 0.005  # what a frame costs beside the looks


class VirtualLooks(streaming.VirtualLooks):
    """Looks on virtual time, which may fail, and are noted."""

    def __init__(self, object_s: float, small_s: float = 0.0) -> None:
        super().__init__(object_s, small_s)
        self.began_s: list[float] = []
        self.asked: list[int] = []
        self.error: Exception | None = None

    def collect(self) -> tuple[Looked, float]:
        found = super().collect()
        if self.error is not None:
            raise self.error
        return found

    def begun(self, looked: Looked, at_s: float) -> None:
        self.began_s.append(at_s)
        self.asked.append(looked.looks)


class Camera:
    """A node's way with each frame, on virtual time.

    Attributes:
        asked_at: what was asked of the model, call by call, frame by frame.
        late_s: most seconds by which an answer came after the next frame.
        sure: the model's estimate of its masks.
        transport_s: from an image to the beginning of its answer.
        publishing_s: what a frame costs after its looks.
    """

    def __init__(self, object_s: float, small_s: float = 0.0, **config: float) -> None:
        self.tracker = AmodalTracker(TrackerConfig(**{"max_objects": 64, **config}))
        self.looks = VirtualLooks(object_s, small_s)
        self.asked_at: list[list[TrackPlan]] = []
        self.sure = 0.75
        self.frames = BudgetedFrames(self.tracker, self.looks, clock=lambda: self.looks.now_s)
        self.late_s = 0.0
        self.transport_s, self.publishing_s = 0.0, CARRY_S

    @property
    def looked_at(self) -> list[list[int]]:
        """Tracks that were looked at, frame by frame."""
        return [[key for p in asked for key in p.track_ids.tolist()] for asked in self.asked_at]

    @property
    def small_at(self) -> list[int]:
        """How many of them in smaller regions."""
        return [sum(map(count_small, asked)) for asked in self.asked_at]

    def frame(
        self, number: int, boxes: list, image: np.ndarray | None = None, shift: float = 0.0
    ) -> tuple[TrackedObject, ...]:
        """Answers a frame in which everything lies `shift` pixels further right."""
        stamp_s = number * INTERVAL_S
        self.looks.now_s = max(self.looks.now_s, stamp_s + self.transport_s)
        self.frames.begin()
        found = Detections.from_boxes(boxes)
        plan = self.tracker.plan(found, stamp_s, HW, image)
        asked: list[TrackPlan] = []

        def look(part: TrackPlan) -> AmodalPrediction:
            asked.append(part)
            masks = np.array([box_mask(box) for box in part.boxes_xyxy], bool)
            sure = np.full(len(part), self.sure, np.float32)
            return AmodalPrediction.from_masks(masks, masks, sure)

        small = self.looks.small_s > 0
        objects, _ = self.frames.answer(plan, look, INTERVAL_S, stamp_s, small)
        self.looks.now_s += self.publishing_s
        self.frames.published()
        self.asked_at.append(asked)
        self.late_s = max(self.late_s, self.looks.now_s - (stamp_s + INTERVAL_S))
        return objects


def box_mask(box: np.ndarray) -> np.ndarray:
    mask = np.zeros(HW, bool)
    x0, y0, x1, y1 = np.round(box).astype(int)
    mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return mask


def row_of_boxes(count: int) -> list[list[float]]:
    width = HW[1] / count
    return [[width * i + 0.5, 30.0, width * (i + 1) - 0.5, 70.0] for i in range(count)]


def texture() -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 255, (HW[0] // 4, HW[1] // 4, 3), np.uint8)
    return cv2.resize(noise, HW[::-1], interpolation=cv2.INTER_CUBIC)
