# SPDX-License-Identifier: Apache-2.0
"""Objects that the model does not look at in a frame, and answers that come after their frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.answer import Judgement, Outcome
from amodal_ros.tracking.remembering import published, remembered
from amodal_ros.tracking.track import (
    IDENTITY,
    Track,
    compose,
    move_mask,
    move_points,
    or_none,
)
from amodal_ros.tracking.types import TrackedObject, TrackPlan
from amodal_ros.types import PointPrompt


def carried_objects(plan: TrackPlan) -> tuple[TrackedObject, ...]:
    """A plan's objects by their last masks, moved; without those that have none yet."""
    found = [_carried_object(plan, row) for row in range(len(plan))]
    return tuple(one for one in found if one is not None)


def _carried_object(plan: TrackPlan, row: int) -> TrackedObject | None:
    one = plan.forecasts[row]
    if one is None or one.amodal is None:
        return None
    amodal = one.amodal
    visible = amodal.empty(amodal.image_hw) if one.visible is None else one.visible & amodal
    # A detection shows that it is there; else what the last look showed still counts.
    confirmed = not plan.coasting[row] or one.track.missed == 0
    judgement = Judgement(amodal, visible, trusted=False, drifted=False, confirmed=confirmed)
    return published(plan, row, Outcome(judgement, None, None, one.boxes_xyxy[2]), 0.0)


def carried_track(plan: TrackPlan, row: int) -> Track:
    """The track of a row, brought to the plan's frame by motion and detection alone."""
    one, stamp_s = plan.forecasts[row], plan.stamp_s
    box = plan.boxes_xyxy[row].astype(np.float64)
    if one is None:
        track = Track(int(plan.track_ids[row]), "", "", 0.0, stamp_s, stamp_s, box)
    else:
        track = one.track
        one.advance()
        if track.given and track.points is not None:
            points = move_points(track.points.coords_xy, one.step).astype(np.float32)
            track.points = PointPrompt(points, track.points.labels)
        track.seen = None if one.visible is None else or_none(one.visible)
        track.place = one.next_place
        track.evidence = one.evidence
    if plan.detection_index[row] >= 0:
        track.class_id, track.score = plan.class_ids[row], float(plan.scores[row])
        track.identity = plan.identities[row] or track.identity
        track.last_seen_s, track.detected_box = stamp_s, box
    return track


def settled_track(
    plan: TrackPlan,
    row: int,
    outcome: Outcome,
    others: Sequence[CroppedMask],
    track: Track,
    pose: np.ndarray,
) -> Track:
    """A track that takes in what the model said of it in an earlier frame.

    What was said is moved as the object moved since.

    Args:
        plan: of that frame.
        row: of the object.
        outcome: of the answer.
        others: what is visible of the other objects.
        track: as of now.
        pose: (2, 3), the track's when that frame had been planned.
    """
    since = compose(track.pose, cv2.invertAffineTransform(pose))
    now = (track.detected_box, track.velocity, track.measured, track.last_seen_s)
    one = plan.forecasts[row]
    if one is not None:
        still = replace(one, step=IDENTITY, velocity=track.velocity, is_measured=False)
        plan = replace(plan, forecasts=tuple(still if n is one else n for n in plan.forecasts))
    sure = None if track.sure is None else track.sure.mask
    after = remembered(plan, row, outcome, others)
    after.detected_box, after.velocity, after.measured, after.last_seen_s = now
    if one is None:
        after.class_id, after.score, after.identity = track.class_id, track.score, track.identity
    if outcome.judgement.trusted:
        after.pose = since
    if after.seen is not None:
        after.seen = or_none(move_mask(after.seen, since))
    if after.sure is not None and after.sure.mask is not sure:
        after.sure = after.sure.moved(since)
    if after.place is not None:
        after.place = after.place.moved(since)
    return after
