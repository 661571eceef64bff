# SPDX-License-Identifier: Apache-2.0
"""A small picture with boxes for masks, in which tests follow objects."""

from __future__ import annotations

from typing import Any

import numpy as np

from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections

HW = (60, 100)
Box = tuple[int, int, int, int]
A, B = (10, 10, 30, 40), (60, 20, 90, 50)


def filled(box: Box, hw: tuple[int, int] = HW) -> np.ndarray:
    mask = np.zeros(hw, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def answer(raw: list[Box], visible: list[Box] | None = None) -> AmodalPrediction:
    """A prediction of boxes; (0, 0, 0, 0) is an empty mask."""
    raw_masks, visible_masks = (
        np.array([filled(box) for box in boxes], bool).reshape(-1, *HW)
        for boxes in (raw, visible or raw)
    )
    return AmodalPrediction.from_masks(
        raw_masks, visible_masks, np.full(len(raw), 0.8, np.float32)
    )


def step(
    tracker: AmodalTracker,
    stamp: float,
    detections: Detections,
    raw: list[Box],
    visible: list[Box] | None = None,
) -> tuple[TrackPlan, tuple[TrackedObject, ...]]:
    plan = tracker.plan(detections, stamp, HW)
    return plan, tracker.update(plan, answer(raw, visible))


def see(*boxes: Box, **fields: Any) -> Detections:
    return Detections.from_boxes(boxes, **fields)
