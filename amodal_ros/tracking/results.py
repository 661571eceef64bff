# SPDX-License-Identifier: Apache-2.0
"""From the predictor's answer to what is published, and to what is remembered of an object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amodal_ros.image.boxes import expand_boxes
from amodal_ros.image.masks import mask_box
from amodal_ros.tracking.appearance import Likeness, Memory, Surroundings
from amodal_ros.tracking.judgement import Answer, Judgement, judge_coasting, judge_detected
from amodal_ros.tracking.shape import Silhouette
from amodal_ros.tracking.state import Track
from amodal_ros.tracking.types import TrackedObject, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a row of a plan.

    Attributes:
        judgement: what is published.
        surroundings: of the object; None: no features are known.
        likeness: to what is known of it; None: nothing is known.
    """

    judgement: Judgement
    surroundings: Surroundings | None
    likeness: Likeness | None


def judge(plan: TrackPlan, prediction: AmodalPrediction, config: TrackerConfig) -> list[Outcome]:
    """What of the answer is believed, for each row of a plan.

    What is visible of a detected object is its own: a coasting one cannot be seen there.
    """
    claimed = [prediction.visible_masks[row] for row in np.flatnonzero(~plan.coasting)]
    outcomes = []
    for row in range(len(plan)):
        one = plan.forecasts[row]
        around = Surroundings.of(prediction.features, row, plan.boxes_xyxy[row])
        likeness = Likeness.of(around, None if one is None else one.track.memory)
        answer = _answer(plan, row, prediction, likeness)
        if plan.coasting[row]:
            judgement = judge_coasting(answer, claimed, config)
        else:
            judgement = judge_detected(answer, config)
        outcomes.append(Outcome(judgement, around, likeness))
    return outcomes


def _answer(
    plan: TrackPlan, row: int, prediction: AmodalPrediction, likeness: Likeness | None
) -> Answer:
    one = plan.forecasts[row]
    return Answer(
        raw=prediction.raw_amodal_masks[row],
        visible=prediction.visible_masks[row],
        predicted_iou=float(prediction.predicted_iou[row]),
        expected=None if one is None else one.amodal_mask,
        expected_visible=None if one is None else one.visible_mask,
        prior=plan.prior_masks[row],
        evidence=0.0 if one is None else one.evidence,
        likeness=likeness,
    )


def remembered(plan: TrackPlan, row: int, outcome: Outcome) -> Track:
    """The track of a row, brought to the plan's frame; a new one where the plan begins one."""
    one, stamp_s, judgement = plan.forecasts[row], plan.stamp_s, outcome.judgement
    box = plan.boxes_xyxy[row].astype(np.float64)
    if one is None:
        track = Track(int(plan.track_ids[row]), "", "", 0.0, stamp_s, stamp_s, box)
    else:
        track = one.track
        one.advance()
    if not plan.coasting[row]:
        track.class_id, track.score = plan.class_ids[row], float(plan.scores[row])
        track.identity = plan.identities[row] or track.identity
        track.last_seen_s, track.detected_box, track.given = stamp_s, box, False
    track.evidence = 0.0 if one is None else one.evidence
    track.missed = 0 if judgement.confirmed else track.missed + 1
    if judgement.confirmed and not (plan.coasting[row] or judgement.drifted):
        track.trusted_s = stamp_s
    if judgement.trusted:
        track.confirm(judgement.amodal, stamp_s)
        track.evidence = max(track.evidence, float(np.count_nonzero(judgement.visible)))
        track.memory = _learnt(track.memory, outcome)
    track.seen = Silhouette.of(judgement.visible)
    track.place = _next_place(track, outcome)
    track.restart = judgement.drifted
    return track


def _learnt(memory: Memory | None, outcome: Outcome) -> Memory | None:
    """What the object looks like, after what was seen of it in this frame."""
    around, visible = outcome.surroundings, outcome.judgement.visible
    if around is None or not visible.any():
        return memory
    look = around.look(around.cover(visible))
    if look is None:
        return memory
    if memory is None or outcome.likeness is None:
        return Memory(look, look)
    return memory.after(look) if outcome.likeness.shows(visible) else memory


_GROWTH = 1.06
_MOST_REACH = 1.3
_LEAST_AREA, _MOST_AREA = 0.3, 2.5


def _next_place(track: Track, outcome: Outcome) -> np.ndarray | None:
    """Box (4,) where the object is to be looked for in the next frame; None: where its mask is."""
    visible, likeness = outcome.judgement.visible, outcome.likeness
    if outcome.surroundings is None:
        return None
    if visible.any():
        return expand_boxes([mask_box(visible)], _GROWTH)[0].astype(np.float64)
    if likeness is None or outcome.judgement.confirmed:
        return None
    cell = float(likeness.surroundings.cell_px.prod())
    for box in likeness.places(_LEAST_AREA * track.evidence / cell):
        if (box[2:] - box[:2]).prod() <= 4 * _MOST_AREA * track.evidence:
            return box
    return None


def tracked_object(
    plan: TrackPlan, row: int, judgement: Judgement, predicted_iou: float
) -> TrackedObject:
    """What is published of a row."""
    return TrackedObject(
        track_id=int(plan.track_ids[row]),
        class_id=plan.class_ids[row],
        detection_id=plan.detection_ids[row],
        score=float(plan.scores[row]),
        predicted_iou=predicted_iou,
        coasting=bool(plan.coasting[row]),
        coasting_s=float(plan.coasting_s[row]),
        pinned=bool(plan.pinned[row]),
        visible_mask=judgement.visible,
        amodal_mask=judgement.amodal,
    )
