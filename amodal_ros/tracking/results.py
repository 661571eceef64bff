# SPDX-License-Identifier: Apache-2.0
"""From the predictor's answer to what is published, and to what is remembered of an object."""

from __future__ import annotations

import numpy as np

from amodal_ros.tracking.appearance import alike, look_of, remember_look
from amodal_ros.tracking.judgement import Answer, Judgement, judge_coasting, judge_detected
from amodal_ros.tracking.shape import Silhouette
from amodal_ros.tracking.state import Track
from amodal_ros.tracking.types import TrackedObject, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction


def judge(plan: TrackPlan, prediction: AmodalPrediction, config: TrackerConfig) -> list[Judgement]:
    """What of the answer is believed, for each row of a plan.

    What is visible of a detected object is its own: a coasting one cannot be seen there.
    """
    claimed = [prediction.visible_masks[row] for row in np.flatnonzero(~plan.coasting)]
    return [
        judge_coasting(_answer(plan, row, prediction), claimed, config)
        if plan.coasting[row]
        else judge_detected(_answer(plan, row, prediction), config)
        for row in range(len(plan))
    ]


def _answer(plan: TrackPlan, row: int, prediction: AmodalPrediction) -> Answer:
    one = plan.forecasts[row]
    return Answer(
        raw=prediction.raw_amodal_masks[row],
        visible=prediction.visible_masks[row],
        predicted_iou=float(prediction.predicted_iou[row]),
        expected=None if one is None else one.amodal_mask,
        expected_visible=None if one is None else one.visible_mask,
        prior=plan.prior_masks[row],
        evidence=0.0 if one is None else one.evidence,
        looks_alike=one is None
        or not plan.coasting[row]
        or alike(one.track.look, look_of(plan.scene, prediction.visible_masks[row])),
    )


def remembered(plan: TrackPlan, row: int, judgement: Judgement) -> Track:
    """The track of a row, brought to the plan's frame; a new one where the plan begins one."""
    one, stamp_s = plan.forecasts[row], plan.stamp_s
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
    if not (plan.coasting[row] or judgement.drifted):
        track.trusted_s = stamp_s
    if judgement.trusted:
        track.confirm(judgement.amodal, stamp_s)
        track.evidence = max(track.evidence, float(np.count_nonzero(judgement.visible)))
        track.look = remember_look(track.look, look_of(plan.scene, judgement.visible))
    track.seen = Silhouette.of(judgement.visible)
    track.restart = judgement.drifted
    return track


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
