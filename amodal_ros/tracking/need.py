# SPDX-License-Identifier: Apache-2.0
"""How much objects need to be looked at: what moves, is covered, or is not where it should be."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from amodal_ros.tracking.forecast import Forecast
from amodal_ros.tracking.types import TrackPlan

_MOVED = 4.0  # weight of an object's own motion, in lengths of its box per frame
_COVERED = 2.0  # weight of the share of its visible mask that another object's box covers anew
_BESIDE = 3.0  # weight of the part of the detection's box that the expected box misses


class Needs:
    """Compares the objects of each frame, and remembers how much of each was covered."""

    def __init__(self) -> None:
        self._covered: dict[int, float] = {}

    def of(self, plan: TrackPlan) -> list[float]:
        """Of each object of a plan, at least 1; inf: new, given, drifted, or without a mask."""
        return [self._need(plan, row, one) for row, one in enumerate(plan.forecasts)]

    def forget(self, alive: Collection[int]) -> None:
        """Keeps what is known of these tracks alone."""
        for track_id in [key for key in self._covered if key not in alive]:
            del self._covered[track_id]

    def _need(self, plan: TrackPlan, row: int, one: Forecast | None) -> float:
        if one is None or one.amodal is None or one.track.restart or one.track.given:
            return math.inf
        box = plan.boxes_xyxy[row]
        length = max(float((box[2:] - box[:2]).max()), 1.0)
        moved = float(np.hypot(*(one.step[:, 2] - plan.camera[:, 2]))) / length
        track_id = int(plan.track_ids[row])
        covered = _covered_share(plan, row, one)
        newly = max(covered - self._covered.get(track_id, covered), 0.0)
        self._covered[track_id] = covered
        beside = 0.0 if plan.coasting[row] else 1.0 - _box_iou(box, one.boxes_xyxy[0])
        return 1.0 + _MOVED * moved + _COVERED * newly + _BESIDE * beside


def _covered_share(plan: TrackPlan, row: int, one: Forecast) -> float:
    """Share of an object's expected visible box that boxes of others cover."""
    place = one.boxes_xyxy[1]
    area = float((place[2:] - place[:2]).prod())
    others = np.delete(plan.boxes_xyxy, row, axis=0)
    if area <= 0 or not len(others):
        return 0.0
    low = np.maximum(others[:, :2], place[:2])
    high = np.minimum(others[:, 2:], place[2:])
    return float(np.clip(high - low, 0, None).prod(axis=1).max() / area)


def _box_iou(box: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    common = float(np.clip(high - low, 0, None).prod())
    union = float((box[2:] - box[:2]).prod() + (other[2:] - other[:2]).prod()) - common
    return common / union if union > 0 else 0.0
