# SPDX-License-Identifier: Apache-2.0
"""A node's way with each frame, with a model that takes as long as a test says: no real clock."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from amodal_ros.tracking.frames import BudgetedFrames, Looked
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections

HW = (100, 400)
INTERVAL_S = 0.1
CARRY_S = 0.005  # what a frame costs beside the looks


class VirtualLooks:
    """A model whose looks take `object_s` each, by a clock that only it and the test move."""

    def __init__(self, object_s: float) -> None:
        self.object_s = object_s
        self.now_s = 0.0
        self.began_s: list[float] = []
        self.asked: list[int] = []
        # What it gives, when, after how long.
        self._going: tuple[Looked, float, float] | None = None
        self._waiting: list[Callable[[], Looked]] = []
        self.error: Exception | None = None

    def start(self, look: Callable[[], Looked]) -> None:
        self._waiting.append(look)
        self._begin(self.now_s)

    def withdraw(self) -> bool:
        return bool(self._waiting and self._waiting.pop())

    def ready(self, timeout_s: float) -> bool:
        if self._going is None:
            return False
        ends_s, end_s = self._going[1], self.now_s + max(timeout_s, 0.0)
        self.now_s = max(self.now_s, min(ends_s, end_s))
        return ends_s <= end_s

    def collect(self) -> tuple[Looked, float]:
        assert self._going is not None
        (found, ended_s, spent_s), self._going = self._going, None
        self._begin(ended_s)
        if self.error is not None:
            raise self.error
        return found, spent_s

    def close(self) -> None:
        pass

    def _begin(self, at_s: float) -> None:
        """The one that waits begins; in truth so soon as the one before ends."""
        if self._going is None and self._waiting:
            found = self._waiting.pop(0)()
            spent_s = self.object_s * found.looks
            self._going = found, at_s + spent_s, spent_s
            self.began_s.append(at_s)
            self.asked.append(found.looks)


class Camera:
    """A node's way with each frame, on virtual time."""

    def __init__(self, object_s: float, **config: float) -> None:
        self.tracker = AmodalTracker(TrackerConfig(**{"max_objects": 64, **config}))
        self.looks = VirtualLooks(object_s)
        self.frames = BudgetedFrames(self.tracker, self.looks, clock=lambda: self.looks.now_s)
        self.looked_at: list[list[int]] = []
        self.late_s = 0.0

    def frame(
        self, number: int, boxes: list, image: np.ndarray | None = None, shift: float = 0.0
    ) -> tuple[TrackedObject, ...]:
        """Answers a frame in which everything lies `shift` pixels further right."""
        stamp_s = number * INTERVAL_S
        self.looks.now_s = max(self.looks.now_s, stamp_s)
        begun_s = self.looks.now_s
        self.frames.begin()
        found = Detections.from_boxes(boxes)
        plan = self.tracker.plan(found, stamp_s, HW, image)
        asked: list[int] = []

        def look(part: TrackPlan) -> AmodalPrediction:
            asked.extend(part.track_ids.tolist())
            masks = np.array([box_mask(box) for box in part.boxes_xyxy], bool)
            return AmodalPrediction.from_masks(masks, masks, np.full(len(part), 0.75, np.float32))

        objects, _ = self.frames.answer(plan, look, INTERVAL_S, begun_s)
        self.looks.now_s += CARRY_S
        self.looked_at.append(asked)
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
