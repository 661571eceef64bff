# SPDX-License-Identifier: Apache-2.0
"""What is published of a frame, and what is kept of it for the next."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from amodal_ros.image.boxes import expand_boxes
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.appearance import Likeness, Memory
from amodal_ros.tracking.forecast import Forecast
from amodal_ros.tracking.judgement import Outcome
from amodal_ros.tracking.search import GROWTH, found_place
from amodal_ros.tracking.track import Track, move_boxes, or_none
from amodal_ros.tracking.types import TrackedObject, TrackPlan

_SPREAD = 0.3  # of the square root of its area: how far an unseen object may go in a second
_MOSTLY = 0.85  # share of a visible mask within what looks like the object
_FURTHER = 1.1  # no side of the next prompt is longer than the known one by more
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
        position_sigma_px=_SPREAD * math.sqrt(judgement.amodal.area) * unseen_s,
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
        track.memory = _learnt(track.memory, outcome)
        track.extent = np.maximum(track.extent, _sides(track))
    track.seen = or_none(judgement.visible)
    if one is not None and plan.scene is not None:
        track.velocity = _corrected(one, judgement.visible)
    track.place = _next_place(track, outcome, others)
    track.restart = judgement.drifted
    return track


def _learnt(memory: Memory | None, outcome: Outcome) -> Memory | None:
    """What the object looks like, after what was seen of it in this frame."""
    around, visible = outcome.surroundings, outcome.judgement.visible
    if around is None or visible.is_empty:
        return memory
    look = around.view(visible).look
    if look is None:
        return memory
    if memory is None or outcome.likeness is None:
        return Memory(look, look)
    return memory.after(look) if outcome.likeness.shows(visible) else memory


def _next_place(
    track: Track, outcome: Outcome, others: Sequence[CroppedMask]
) -> np.ndarray | None:
    """Box (4,) float64 of the prompt in the next frame, as of this one.

    Of an object that is seen: the box of what is visible, and of what looks like it and is joined
    to that: a mask that the last box cut off. Of one that is not: the likeliest place around.

    Args:
        track: as of this frame.
        outcome: of this frame.
        others: what is visible of other objects.

    Returns:
        None where its mask should be, or where nothing is known of its look.
    """
    if outcome.surroundings is None:
        return None
    visible, likeness = outcome.judgement.visible, outcome.likeness
    known = np.maximum(track.extent, _sides(track))
    if not visible.is_empty:
        box = expand_boxes([visible.box_xyxy], GROWTH)[0].astype(np.float64)
        return box if likeness is None else _reaching(box, visible, likeness, known)
    if likeness is None:
        return None
    place = found_place(likeness, known, others)
    if place is not None and track.missed == 1:  # it was seen a frame before: it goes on as far
        place += np.tile(_middle(place) - _middle(outcome.expected_box), 2)
    return place


def _middle(box: np.ndarray) -> np.ndarray:
    return np.asarray((box[:2] + box[2:]) / 2)


def _corrected(one: Forecast, visible: CroppedMask) -> np.ndarray:
    """The object's own velocity (2,) after it was seen, where points on it told nothing."""
    before = one.visible
    if (
        one.is_measured
        or before is None
        or one.passed_s <= 0
        or before.is_empty
        or visible.is_empty
    ):
        return one.velocity
    ratio = visible.area / before.area
    if not 1 / _SAME_AREA <= ratio <= _SAME_AREA:
        return one.velocity
    off = _middle(np.array(visible.box_xyxy)) - _middle(np.array(before.box_xyxy))
    return np.asarray(one.velocity + off / one.passed_s)


def _sides(track: Track) -> np.ndarray:
    """(2,) width and height of the object when its mask was last trusted, now."""
    if track.shape is None:
        return np.asarray(track.detected_box[2:] - track.detected_box[:2])
    box = move_boxes(track.shape.box_xyxy, track.pose)[0]
    return np.asarray(box[2:] - box[:2])


def _reaching(
    box: np.ndarray, visible: CroppedMask, likeness: Likeness, known: np.ndarray
) -> np.ndarray:
    """A box (4,) about a visible mask, cut to what looks like the object, or grown to it.

    It is cut where much of the mask lies beyond: a hand that holds the object. It grows on no axis
    beyond the known length (2,).
    """
    reach = likeness.reach(visible)
    if not reach.any():
        return box
    inner = reach + np.tile(likeness.surroundings.cell_px, 2) * (-1, -1, 1, 1)
    if _share_in(visible, inner) < _MOSTLY:
        return np.concatenate([np.maximum(box[:2], inner[:2]), np.minimum(box[2:], inner[2:])])
    low, high = np.minimum(box[:2], reach[:2]), np.maximum(box[2:], reach[2:])
    room = np.maximum(_FURTHER * known - (box[2:] - box[:2]), 0)
    wanted = (box[:2] - low) + (high - box[2:])
    share = np.divide(np.minimum(wanted, room), wanted, out=np.zeros(2), where=wanted > 0)
    return np.concatenate([box[:2] - share * (box[:2] - low), box[2:] + share * (high - box[2:])])


def _share_in(mask: CroppedMask, box: np.ndarray) -> float:
    """Share of a mask, not empty, that lies in a box (4,)."""
    x0, y0, x1, y1 = np.round(np.maximum(box, 0)).astype(int)
    return mask.area_in((x0, y0, x1, y1)) / mask.area
