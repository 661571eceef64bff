# SPDX-License-Identifier: Apache-2.0
"""A lost object is looked for by its look, and asked for once more in the same frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from amodal_ros.image.boxes import box_iou, expand_boxes
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.answer import Outcome
from amodal_ros.tracking.like_cells import places_of
from amodal_ros.tracking.types import TrackPlan
from amodal_ros.types import AmodalPrediction

GROWTH = 1.06  # of the box of what is visible to the prompt
_LEAST_AREA, _MOST_AREA = 0.3, 2.0  # of a place's box relative to that of the object
_TAKEN = 0.3  # share of a place's box that another object fills, from which on it is that one's
_SAME_PLACE = 0.7  # IoU with the box that was asked for, from which on asking again is of no use
_PATIENCE = 5  # frames in which a lost object is asked for twice


@dataclass(frozen=True, eq=False)
class SecondLook:
    """What to ask of the predictor once more in the same frame.

    Attributes:
        plan: the frame's, with the new boxes; it goes to `AmodalTracker.update`.
        rows: (K,) int, the rows of the plan that are asked for.
    """

    plan: TrackPlan
    rows: np.ndarray

    @property
    def boxes_xyxy(self) -> np.ndarray:
        """(K, 4) float32, the prompt boxes; M_spec is made from them."""
        return self.plan.boxes_xyxy[self.rows]

    def joined(self, first: AmodalPrediction, second: AmodalPrediction) -> AmodalPrediction:
        """The answer to `plan`: that to the first plan, and that to `boxes_xyxy` in its rows."""
        return first.with_rows(self.rows, second)


def second_look(plan: TrackPlan, outcomes: Sequence[Outcome]) -> SecondLook | None:
    """Where the objects that were not seen may be instead; None: nowhere.

    Args:
        plan: of the frame.
        outcomes: of its rows.
    """
    boxes, guided = plan.boxes_xyxy.copy(), plan.guided.copy()
    rows = []
    seen = [one.judgement.visible for one in outcomes if one.judgement.confirmed]
    for row, (forecast, outcome) in enumerate(zip(plan.forecasts, outcomes, strict=True)):
        if forecast is None or outcome.judgement.confirmed or outcome.likeness is None:
            continue
        sides = forecast.boxes_xyxy[2, 2:] - forecast.boxes_xyxy[2, :2]
        known = np.maximum(forecast.track.extent, sides)
        place = found_place(outcome, known, seen)
        if place is None or forecast.track.missed >= _PATIENCE:
            continue
        height, width = plan.image_hw
        place = np.clip(place, 0, np.array([width, height, width, height], float))
        if box_iou([place], boxes[row : row + 1])[0, 0] < _SAME_PLACE:
            boxes[row], guided[row] = place, False
            rows.append(row)
    if not rows:
        return None
    return SecondLook(replace(plan, boxes_xyxy=boxes, guided=guided), np.array(rows))


def found_place(
    outcome: Outcome,
    known: np.ndarray,
    others: Sequence[CroppedMask],
) -> np.ndarray | None:
    """Box (4,) float64 of the likeliest place of an object; None: there is none.

    Args:
        outcome: of the look at where it should be; its likeness is known.
        known: (2,) width and height of the object.
        others: what is visible of other objects.
    """
    answer = outcome.answer
    if answer is None or answer.likeness is None:
        return None
    left = None if answer.staying is None else answer.staying.box_without(others)
    if left is not None:
        return expand_boxes([left], GROWTH)[0].astype(np.float64)
    for box in places_of(answer.likeness, others):
        area = float((box[2:] - box[:2]).prod() / max(known.prod(), 1.0))
        if _LEAST_AREA <= area <= _MOST_AREA and not any(_fills(one, box) for one in others):
            return expand_boxes([box], GROWTH)[0].astype(np.float64)
    return None


def _fills(mask: CroppedMask, box: np.ndarray) -> bool:
    """Whether a mask fills much of a box (4,)."""
    x0, y0 = np.floor(np.maximum(box[:2], 0)).astype(int)
    x1, y1 = np.ceil(np.maximum(box[2:], 1)).astype(int)
    return mask.filled_share((x0, y0, x1, y1)) >= _TAKEN
