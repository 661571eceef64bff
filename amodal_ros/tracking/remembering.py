# SPDX-License-Identifier: Apache-2.0
"""What is published of a frame, and what is kept of it for the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.answer import Outcome
from amodal_ros.tracking.appearance import LEARNT_CELLS, Likeness
from amodal_ros.tracking.forecast import Forecast
from amodal_ros.tracking.growing import added_part
from amodal_ros.tracking.learning import PendingMemory
from amodal_ros.tracking.look_memory import Memory
from amodal_ros.tracking.origins import unlike_beyond
from amodal_ros.tracking.place import NextPlace, Sight
from amodal_ros.tracking.staying import LatePixels
from amodal_ros.tracking.track import SureSight, Track, move_box, or_none, spread_px
from amodal_ros.tracking.types import TrackedObject, TrackPlan

_LOOK_EVERY = 3  # so many sights of an object that is detected: it hardly changes meanwhile
_CLEAR = 0.7  # of what was visible of an object at best: enough to tell its own motion by
_SLIVER = 0.25  # likewise: points on so little lie at the rim of what hides the rest
_SURE_S = 1.0  # what creeps in comes more slowly than this
_SURE_IF_DETECTED_S = 2.0  # nobody asks before the detections end
_LONG_S = 4.0  # so long a sure sight is worth more than one less sure, or of a part
_WHOLE = 0.9  # share of the whole object that is visible of it where nothing hides it
_COVERS = 5  # frames of a loss in which it is looked at what is in its place
_LITTLE = 0.05  # share of a mask
_ALIKE = 3.0  # so many times the shorter way of two edges both go together, at most
_SAME_AREA = 1.4  # factor of area within which two sights show as much of an object


def published(plan: TrackPlan, row: int, outcome: Outcome, predicted_iou: float) -> TrackedObject:
    """What is published of a row.

    A given object needs no detection: it coasts when nothing that is visible confirms it.
    """
    judgement, one = outcome.judgement, plan.forecasts[row]
    seen = judgement.confirmed and bool(plan.pinned[row])
    coasting = bool(plan.coasting[row]) and not seen
    unseen_s = 0.0
    if one is not None and not judgement.confirmed:
        unseen_s = plan.stamp_s - one.track.trusted_s
    return TrackedObject(
        track_id=int(plan.track_ids[row]),
        class_id=plan.class_ids[row],
        detection_id=plan.detection_ids[row],
        score=one.track.score if seen and one is not None else float(plan.scores[row]),
        predicted_iou=predicted_iou,
        coasting=coasting,
        coasting_s=float(plan.coasting_s[row]) if coasting else 0.0,
        pinned=bool(plan.pinned[row]),
        visible=judgement.visible,
        amodal=judgement.amodal,
        position_sigma_px=spread_px(judgement.amodal, unseen_s),
    )


def remembered(
    plan: TrackPlan, row: int, outcome: Outcome, others: Sequence[CroppedMask]
) -> Track:
    """The track of a row, brought to the plan's frame; a new one where the plan begins one.

    Args:
        plan: of the frame.
        row: of the plan.
        outcome: of the row.
        others: what is visible of the other objects.
    """
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
        track.detections += 1
    track.evidence = 0.0 if one is None else one.evidence
    track.missed = 0 if judgement.confirmed else track.missed + 1
    if judgement.confirmed and not judgement.drifted:
        track.trusted_s = stamp_s
    if judgement.trusted:
        track.confirm(judgement.amodal, stamp_s)
        track.evidence = max(track.evidence, float(judgement.visible.area))
        detected = not plan.coasting[row]
        passed_over = detected and (track.detections + track.track_id) % _LOOK_EVERY > 0
        if track.memory is None or not passed_over:
            _take_in_look(track, outcome, plan, detected)
    elif not judgement.confirmed and 0 < track.missed <= _COVERS:
        track.memory = _behind(track.memory, outcome)
    known = np.maximum(track.extent, _sides(track))
    if judgement.trusted:
        track.extent = known
    before, track.seen = track.seen, or_none(judgement.visible)
    covered = judgement.covered or 0 < judgement.visible.area < _SLIVER * track.evidence
    if one is not None and plan.scene is not None:
        track.velocity = _corrected(one, before, judgement.visible)
        if track.missed == 1 or covered:
            track.velocity = track.clear_velocity
        elif judgement.visible.area >= _CLEAR * track.evidence:
            track.clear_velocity = track.velocity
    track.covered = covered
    track.place = None
    if outcome.surroundings is not None:
        sight = Sight(outcome, known, track.missed == 1, others)
        track.place = NextPlace(sight)
    track.restart = judgement.drifted
    return track


def _take_in_look(track: Track, outcome: Outcome, plan: TrackPlan, detected: bool) -> None:
    """What an object looks like, and when it was surely seen, after a mask of it was trusted.

    What is seen of an object that is detected counts as much as all sights that were passed over.
    It is learnt when somebody asks what the object looks like, or at once if it is sure: then most
    of that work is done.
    """
    likeness, around, visible = outcome.likeness, outcome.surroundings, outcome.judgement.visible
    known = None
    if detected and likeness is not None:
        known = PendingMemory.of(likeness.known)
        likeness = Likeness(likeness.surroundings, known.before)
    before = track.sure
    every_s = _SURE_IF_DETECTED_S if detected else _SURE_S
    track.sure = _surely_seen(before, outcome, likeness, plan, every_s)
    if around is None or visible.is_empty:
        return
    if track.memory is None or likeness is None:
        look = around.look(visible)
        track.memory = None if look is None else Memory.of(look)
    elif known is None:
        added = None if outcome.answer is None else outcome.answer.added
        if added is None or added.area < _LITTLE * visible.area:  # else it may be another thing
            track.memory = likeness.learnt(visible, 1)
    elif track.sure is not before:
        track.memory = known.learnt(likeness, visible, _LOOK_EVERY)
    else:
        track.memory = known.after(around, visible, _LOOK_EVERY)


def _surely_seen(
    known: SureSight | None,
    outcome: Outcome,
    likeness: Likeness | None,
    plan: TrackPlan,
    every_s: float,
) -> SureSight | None:
    """When the object was surely seen last.

    A sight is sure if nothing was cut off the mask, and what it has beyond the last sure one looks
    like the object. One that is long ago says little: by then an object may have turned.

    Args:
        known: the last one before this frame; None: there was none.
        outcome: of this frame.
        likeness: of this frame to the object; None: nothing is known.
        plan: of this frame.
        every_s: seconds between two sure sights, at least.
    """
    judgement, answer, visible = outcome.judgement, outcome.answer, outcome.judgement.visible
    if outcome.surroundings is None or visible.is_empty or judgement.drifted:
        return known
    whole = visible.area >= _WHOLE * judgement.amodal.area
    if known is not None and plan.stamp_s - known.stamp_s < _LONG_S:
        joined = answer is not None and answer.joined is not None
        is_less = known.is_whole and not whole
        if joined or is_less or likeness is None or plan.stamp_s - known.stamp_s < every_s:
            return known
        if likeness.share(visible) < LEARNT_CELLS:
            return known
        before = known.mask_now
        if not unlike_beyond(visible, before, likeness, _LITTLE).is_empty:
            return known
        if known.is_whole and not added_part(before, visible, 1.0).is_empty:
            return known
    pixels = None if plan.scene is None else LatePixels(plan.scene, visible)
    return SureSight(visible, whole, plan.stamp_s, pixels)


def _behind(
    known: Memory | PendingMemory | None, outcome: Outcome
) -> Memory | PendingMemory | None:
    """What the object looks like, after another thing was seen in its place."""
    if known is None or outcome.surroundings is None:
        return known
    look = outcome.surroundings.look(outcome.judgement.amodal)
    return known if look is None else known.now.behind(look)


def _corrected(one: Forecast, before: CroppedMask | None, visible: CroppedMask) -> np.ndarray:
    """The object's own velocity (2,) after it was seen, where points on it told nothing.

    Args:
        one: where it should have been.
        before: what was visible of it in the last frame; None: nothing.
        visible: what is visible now.
    """
    if one.is_measured or before is None or one.passed_s <= 0 or visible.is_empty:
        return one.velocity
    ratio = visible.area / before.area
    if not 1 / _SAME_AREA <= ratio <= _SAME_AREA:
        return one.velocity
    # What moves takes both its edges along; what is covered or joined to something moves one.
    low, high = (_edges(visible) - move_box(_edges(before), one.step)).reshape(2, 2)
    nearer = np.where(np.abs(low) < np.abs(high), low, high)
    both = (low * high > 0) & (np.abs(low + high) <= _ALIKE * np.abs(nearer))
    return np.asarray(one.velocity + np.where(both, nearer, 0.0) / one.passed_s)


def _edges(mask: CroppedMask) -> np.ndarray:
    """(4,) float64: where a mask, not empty, begins and ends in the mean of its rows and columns.

    A box has whole pixels, and many an object moves by less than one in a frame.
    """
    crop = mask.crop
    x0, y0 = mask.box_xyxy[:2]
    rows, columns = crop[crop.any(axis=1)], crop.T[crop.any(axis=0)]
    low = rows.argmax(axis=1).mean(), columns.argmax(axis=1).mean()
    high = rows[:, ::-1].argmax(axis=1).mean(), columns[:, ::-1].argmax(axis=1).mean()
    return np.array(
        [x0 + low[0], y0 + low[1], x0 + crop.shape[1] - high[0], y0 + crop.shape[0] - high[1]]
    )


def _sides(track: Track) -> np.ndarray:
    """(2,) width and height of the object when its mask was last trusted, now."""
    if track.shape is None:
        return np.asarray(track.detected_box[2:] - track.detected_box[:2])
    box = move_box(track.shape.box_xyxy, track.pose)
    return np.asarray(box[2:] - box[:2])
