# SPDX-License-Identifier: Apache-2.0
"""What of an answer is believed: an object that coasts may be hidden, a mask may have drifted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.answer import Answer, Judgement, Outcome, answer_to
from amodal_ros.tracking.covering import (
    INSIDE,
    covered,
    is_covered,
    is_cut_back,
    is_less,
    is_part_of_whole,
    moved_over,
)
from amodal_ros.tracking.settings import TrackerConfig
from amodal_ros.tracking.types import TrackPlan
from amodal_ros.types import AmodalPrediction

_ANOTHERS = 0.5  # share from which on a mask shows the object in whose visible mask it lies
_LEFT = 0.2  # of what was visible, from which on what others leave of a mask may be the object
_SAME = 0.6  # least IoU of two masks of one thing
_LARGER = 1.6  # so much more than before no object shows at once; it is joined to something else
_ROOM = 0.08  # of the square root of its area: so far an object may deform or be misplaced
_KEPT = 0.9  # share of what is visible within the known shape, from which on that still holds
_COVERED = 0.5  # least share of the visible mask that an amodal mask covers which has not drifted


def judge(
    plan: TrackPlan,
    prediction: AmodalPrediction,
    config: TrackerConfig,
    before: Sequence[Outcome] = (),
) -> list[Outcome]:
    """What of the answer is believed, for each row of a plan.

    What one object shows is its own, and no other can be seen there: first come those that were
    detected, then those that were seen in the frame before, best those that show what they did.

    Args:
        plan: of the frame.
        prediction: for its rows.
        config: of the tracker.
        before: outcomes of a judgement of the same rows, some of which have other masks now; what
            was computed for the others is not computed again. Empty: there was none.
    """
    outcomes: dict[int, Outcome] = {}
    claimed: list[CroppedMask] = []
    answers = [answer_to(plan, row, prediction, before) for row in range(len(plan))]
    for row in sorted(range(len(plan)), key=lambda row: _rank(plan, row, answers[row][0])):
        answer, around = answers[row]
        if plan.coasting[row]:
            judgement = judge_coasting(answer.alone, claimed, config)
        else:
            judgement = judge_detected(answer, config)
        if not judgement.visible.is_empty:
            claimed.append(judgement.visible)
        outcomes[row] = Outcome(judgement, answer, around, plan.boxes_xyxy[row])
    return [outcomes[row] for row in range(len(plan))]


def _rank(plan: TrackPlan, row: int, answer: Answer) -> tuple[bool, int, float]:
    """Who comes first: least."""
    one = plan.forecasts[row]
    if one is None or not plan.coasting[row] or answer.expected_visible is None:
        return bool(plan.coasting[row]), 0 if one is None else one.track.missed, 0.0
    (overlap,) = _overlaps(answer.visible, [answer.expected_visible])
    return True, one.track.missed, -overlap[1]


def judge_detected(answer: Answer, config: TrackerConfig) -> Judgement:
    """An object that a detection supports: its mask counts, unless it has drifted.

    Of an object that is being covered the decoder completes less and less; what is known from
    before is better, so it stays as long as what is left to see lies in M_spec, and is moved over
    it where that lies a little beside: a hidden object may have been some way off. It stays, too,
    while one side of what is visible is cut back and the others stay.

    Drift: the decoder doubts its mask, its area jumped, or it misses what is visible. A mask that
    came from the box is the best there is, so it always counts if it is not empty.
    """
    amodal = answer.raw | answer.visible
    if amodal.is_empty:
        return Judgement(amodal, answer.visible, trusted=False, drifted=True, confirmed=True)
    drifted = answer.prior is not None and _has_drifted(answer, config)
    if answer.expected is not None and not drifted and is_cut_back(answer, answer.expected):
        return covered(answer, answer.expected)
    if answer.expected is not None and is_less(answer):
        if is_covered(answer, answer.expected):
            return covered(answer, answer.expected)
        pinned = moved_over(answer.expected, answer.visible)
        if pinned is not None:
            return Judgement(pinned, answer.visible, True, False, confirmed=True)
    return Judgement(amodal, answer.visible, not drifted, drifted, confirmed=True)


def judge_coasting(
    answer: Answer, claimed: Sequence[CroppedMask], config: TrackerConfig
) -> Judgement:
    """An object that no detection supports: seen all the same, hidden, or gone.

    Both passes see whatever lies at its place, and an occluder, cut to the box, can resemble it.
    So the visible mask counts only if it shows the object. Where it is known what the object looks
    like, that decides: a mask that looks like it is believed wherever it lies and whatever its
    shape, any other shows what hides it. Where it is not known, the outline decides: the mask must
    agree with the expected object, or with what was visible of it before. Nothing that
    another object shows counts, and nothing that was beside the object a frame before.

    Args:
        answer: for it.
        claimed: what is visible of other objects.
        config: of the tracker.
    """
    expected = answer.raw if answer.expected is None else answer.expected
    overlaps = _overlaps(answer.visible, claimed)
    whole = answer.visible
    for one, (share, _) in zip(claimed, overlaps, strict=True):
        if share > 0:
            answer = replace(answer, visible=answer.visible - one)
    # A mask may show an object and what comes before it: then much is left. Of a thing's second
    # mask only the rim is.
    known = answer.likeness is not None and not answer.lost
    little = not known or answer.visible.area < _LEFT * answer.evidence
    taken = little and any(share >= _ANOTHERS for share, _ in overlaps)
    another = taken or answer.is_another
    if another or answer.visible.is_empty or not _shows(answer, expected, config):
        hidden = CroppedMask.empty(whole.image_hw)
        same = any(iou >= _SAME for _, iou in overlaps)
        return Judgement(expected, hidden, False, False, False, repeats=same)
    if answer.likeness is None:
        return _seen_by_outline(answer, expected, config)
    drifted = answer.prior is not None and _has_drifted(answer, config)
    partly = is_cut_back(answer, expected) or is_part_of_whole(answer)
    if answer.expected is not None and not drifted and partly:
        return covered(answer, expected)
    if answer.expected is not None and is_less(answer):
        if is_covered(answer, expected):
            return covered(answer, expected)
        beside = moved_over(expected, answer.visible)
        if beside is not None:
            return Judgement(beside, answer.visible, True, False, True)
    amodal = answer.visible if drifted else _within_whole(answer)
    return Judgement(amodal, answer.visible, trusted=True, drifted=drifted, confirmed=True)


def _within_whole(answer: Answer) -> CroppedMask:
    """What is visible of an object, and what is hidden of it.

    Nothing is hidden beyond the shape of an object that was seen whole, unless it has changed: the
    decoder also completes into what comes before the object.
    """
    amodal, whole = answer.raw | answer.visible, answer.whole
    if whole is None:
        return amodal
    grown = whole.dilated(_ROOM * math.sqrt(whole.area))
    return amodal & (grown | answer.visible) if answer.visible.share_in(grown) >= _KEPT else amodal


def _shows(answer: Answer, expected: CroppedMask, config: TrackerConfig) -> bool:
    """Whether the visible mask, not empty, shows the object."""
    if answer.likeness is None:
        continues = (
            answer.expected_visible is not None
            and answer.visible.iou(answer.expected_visible) >= config.agreement_iou
            and answer.visible.share_in(expected) >= INSIDE
        )
        return continues or answer.visible.iou(expected) >= config.agreement_iou
    known = max(answer.evidence, float(expected.area))
    small = answer.visible.area <= _LARGER * known
    if not small or answer.likeness.shows(answer.visible, lost=answer.lost):
        return small
    return answer.staying is not None and answer.staying.shows(answer.visible)


def _seen_by_outline(answer: Answer, expected: CroppedMask, config: TrackerConfig) -> Judgement:
    """An object whose look is not known: the decoder's mask counts if it is like the expected."""
    follows = answer.raw.iou(expected) >= config.coast_iou
    trusted = (
        follows
        and answer.predicted_iou >= config.min_predicted_iou
        and not is_covered(answer, expected)
    )
    amodal = answer.raw if follows else expected
    return Judgement(amodal, answer.visible & amodal, trusted, drifted=False, confirmed=True)


def _has_drifted(answer: Answer, config: TrackerConfig) -> bool:
    return (
        answer.predicted_iou < config.min_predicted_iou
        or _area_jumped(answer.raw, answer.expected, config.max_area_jump)
        or answer.visible.share_in(answer.raw) < _COVERED
    )


def _area_jumped(mask: CroppedMask, expected: CroppedMask | None, limit: float) -> bool:
    """Whether the area changed by more than a factor of `limit`, up or down."""
    if expected is None or expected.is_empty:
        return False
    ratio = mask.area / expected.area
    return not 1 / limit <= ratio <= limit


def _overlaps(mask: CroppedMask, others: Sequence[CroppedMask]) -> list[tuple[float, float]]:
    """Share of a mask that lies in each of others, and IoU with it; of an empty mask 1 and 0."""
    if mask.is_empty:
        return [(1.0, 0.0)] * len(others)
    return [(mask.share_in(one), mask.iou(one)) for one in others]
