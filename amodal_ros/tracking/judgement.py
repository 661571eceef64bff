# SPDX-License-Identifier: Apache-2.0
"""What of an answer is believed: an object that coasts may be hidden, a mask may have drifted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.appearance import Likeness
from amodal_ros.tracking.origins import is_another, joined_thing
from amodal_ros.tracking.settings import TrackerConfig
from amodal_ros.tracking.surroundings import Surroundings
from amodal_ros.tracking.track import move_mask
from amodal_ros.tracking.types import TrackPlan
from amodal_ros.types import AmodalPrediction

_INSIDE = 0.8  # share of what is visible of an object that lies in its amodal mask
_LESS = 0.5  # share of what was visible below which an object is being covered
_ANOTHERS = 0.5  # share from which on a mask shows the object in whose visible mask it lies
_LEFT = 0.2  # of what was visible, from which on what others leave of a mask may be the object
_CLEAR = 0.95  # of what was visible, at best and a frame ago: from which on nothing was covered
_EDGE, _EDGE_PX = 0.04, 2.0  # of a side: an edge of a box that moves less has stayed
_SAME = 0.6  # least IoU of two masks of one thing
_LARGER = 1.6  # so much more than before no object shows at once; it is joined to something else
_ROOM = 0.08  # of the square root of its area: so far an object may deform or be misplaced
_KEPT = 0.9  # share of what is visible within the known shape, from which on that still holds
_RIM = 0.08  # of the square root of its area: so far a cut goes beyond what was cut off
_CRUMB = 0.1  # of the largest piece
_COVERED = 0.5  # least share of the visible mask that an amodal mask covers which has not drifted


@dataclass(frozen=True, eq=False)
class Answer:
    """What the predictor said of one object, and what had been expected.

    Attributes:
        raw: amodal mask as decoded.
        visible: mask of the unadapted pass.
        predicted_iou: the decoder's estimate for `raw`.
        expected: the last trusted amodal mask, moved; None: there was none.
        expected_visible: what was visible before, moved; None: nothing was.
        prior: M_spec where it was the previous mask; None: it was the box.
        evidence: how many pixels of the object were visible when `expected` was seen best.
        likeness: the frame compared with what is known of the object; None: nothing is known.
        lost: it was not seen in the frame before.
        is_another: the visible mask shows something that was beside the object (`origins.py`).
        joined: the part of it that shows another thing; None: there is none.
        whole: all of the object as it was surely seen, moved; None: it was not seen whole.
    """

    raw: CroppedMask
    visible: CroppedMask
    predicted_iou: float
    expected: CroppedMask | None
    expected_visible: CroppedMask | None
    prior: CroppedMask | None
    evidence: float
    likeness: Likeness | None
    lost: bool = False
    is_another: bool = False
    joined: CroppedMask | None = None
    whole: CroppedMask | None = None

    @cached_property
    def alone(self) -> Answer:
        """Without what is joined to the object.

        What was known to be hidden behind that stays, crumbs of it do not.
        """
        if self.joined is None:
            return self
        visible = _without_crumbs(self.visible - self.joined)
        beyond = self.joined.dilated(_RIM * math.sqrt(self.joined.area), 2)
        raw = self.raw - beyond
        if self.expected is not None:
            raw = raw | (self.raw & self.expected)
        return replace(self, raw=_without_crumbs(raw | visible), visible=visible, joined=None)


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is published and kept of an object.

    Attributes:
        amodal: whole.
        visible: inside it.
        trusted: the amodal mask may guide the next frames.
        drifted: the next M_spec is the box.
        confirmed: a detection or what is visible shows that the object is there.
        repeats: what is visible is just what another object shows.
        covered: more of the object was covered than a frame ago.
        foreign: a thing like the object that is not it; None: nothing was told apart.
    """

    amodal: CroppedMask
    visible: CroppedMask
    trusted: bool
    drifted: bool
    confirmed: bool
    repeats: bool = False
    covered: bool = False
    foreign: CroppedMask | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a row of a plan.

    Attributes:
        judgement: what is published.
        answer: of the predictor; None: it was not asked.
        surroundings: of the object; None: no features are known.
        expected_box: (4,) where it was looked for.
    """

    judgement: Judgement
    answer: Answer | None
    surroundings: Surroundings | None
    expected_box: np.ndarray

    @property
    def likeness(self) -> Likeness | None:
        """To what is known of it; None: nothing is known."""
        return None if self.answer is None else self.answer.likeness


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
    answers = [_answer(plan, row, prediction, before) for row in range(len(plan))]
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


def _answer(
    plan: TrackPlan, row: int, prediction: AmodalPrediction, before: Sequence[Outcome]
) -> tuple[Answer, Surroundings | None]:
    """What came of a row, and its surroundings."""
    known = before[row].answer if before else None
    if known is not None and known.visible is prediction.visible[row]:
        return known, before[row].surroundings
    one = plan.forecasts[row]
    around = Surroundings.of(prediction.features, row, plan.boxes_xyxy[row], plan.scene)
    likeness = Likeness.of(around, None if one is None else one.track.memory)
    answer = Answer(
        raw=prediction.raw_amodal[row],
        visible=prediction.visible[row],
        predicted_iou=float(prediction.predicted_iou[row]),
        expected=None if one is None else one.amodal,
        expected_visible=None if one is None else one.visible,
        prior=plan.prior_masks[row],
        evidence=0.0 if one is None else one.evidence,
        likeness=likeness,
        lost=one is not None and one.track.missed > 0,
    )
    if one is not None and plan.coasting[row]:
        another, joined = is_another(one, answer.visible, plan.motion), None
        if likeness is not None and not another:
            beside = [other for other in plan.forecasts if other is not None and other is not one]
            others = [other.visible for other in beside if other.visible is not None]
            joined = joined_thing(one, answer.visible, likeness, plan.motion, others)
        answer = replace(answer, is_another=another, joined=joined, whole=one.whole)
    return answer, around


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
    if answer.expected is not None and not drifted and _is_cut_back(answer, answer.expected):
        return _covered(answer, answer.expected)
    if answer.expected is not None and _is_less(answer):
        if _is_covered(answer, answer.expected):
            return _covered(answer, answer.expected)
        pinned = _moved_over(answer.expected, answer.visible)
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
        foreign = whole if answer.is_another else None
        return Judgement(expected, hidden, False, False, False, repeats=same, foreign=foreign)
    if answer.likeness is None:
        return _seen_by_outline(answer, expected, config)
    drifted = answer.prior is not None and _has_drifted(answer, config)
    if answer.expected is not None and not drifted and _is_cut_back(answer, expected):
        return _covered(answer, expected)
    if answer.expected is not None and _is_less(answer):
        if _is_covered(answer, expected):
            return _covered(answer, expected)
        beside = _moved_over(expected, answer.visible)
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
            and answer.visible.share_in(expected) >= _INSIDE
        )
        return continues or answer.visible.iou(expected) >= config.agreement_iou
    known = max(answer.evidence, float(expected.area))
    small = answer.visible.area <= _LARGER * known
    return small and answer.likeness.shows(answer.visible, lost=answer.lost)


def _seen_by_outline(answer: Answer, expected: CroppedMask, config: TrackerConfig) -> Judgement:
    """An object whose look is not known: the decoder's mask counts if it is like the expected."""
    follows = answer.raw.iou(expected) >= config.coast_iou
    trusted = (
        follows
        and answer.predicted_iou >= config.min_predicted_iou
        and not _is_covered(answer, expected)
    )
    amodal = answer.raw if follows else expected
    return Judgement(amodal, answer.visible & amodal, trusted, drifted=False, confirmed=True)


def _has_drifted(answer: Answer, config: TrackerConfig) -> bool:
    return (
        answer.predicted_iou < config.min_predicted_iou
        or _area_jumped(answer.raw, answer.expected, config.max_area_jump)
        or answer.visible.share_in(answer.raw) < _COVERED
    )


def _is_less(answer: Answer) -> bool:
    """Whether much less is visible than was."""
    return answer.visible.area < _LESS * answer.evidence


def _is_covered(answer: Answer, expected: CroppedMask) -> bool:
    """Whether much less is visible than was, and that where the object is expected."""
    place = expected if answer.prior is None else answer.prior
    return _is_less(answer) and answer.visible.share_in(place) >= _INSIDE


def _covered(answer: Answer, expected: CroppedMask) -> Judgement:
    """An object something comes before: it keeps its shape."""
    amodal = expected | answer.visible
    return Judgement(amodal, answer.visible, False, False, True, covered=_shrinks(answer))


def _shrinks(answer: Answer) -> bool:
    """Whether less is visible than a frame ago."""
    before = answer.expected_visible
    return before is not None and answer.visible.area < _CLEAR * before.area


def _is_cut_back(answer: Answer, expected: CroppedMask) -> bool:
    """Whether what is visible has just been cut back on one side, and stays on the three others.

    So is an object over which another thing comes; one that moves or shrinks does otherwise.
    """
    less = answer.visible.area < _CLEAR * answer.evidence
    if not less or not _shrinks(answer) or expected.is_empty:
        return False
    box, part = np.array(expected.box_xyxy), np.array(answer.visible.box_xyxy)
    sides = np.tile(box[2:] - box[:2], 2)
    inwards = (part - box) * (1, 1, -1, -1)
    stayed = np.abs(inwards) <= np.maximum(_EDGE * sides, _EDGE_PX)
    return int(stayed.sum()) == 3 and bool((inwards[~stayed] > 0).all())


def _moved_over(expected: CroppedMask, visible: CroppedMask) -> CroppedMask | None:
    """The mask moved as little as its box needs to hold what is visible, united with that.

    None where that does not fit in, or lies further off than half the box.
    """
    if expected.is_empty:
        return None
    box, part = np.array(expected.box_xyxy), np.array(visible.box_xyxy)
    sides = box[2:] - box[:2]
    if (part[2:] - part[:2] > sides).any():
        return None
    shift = np.minimum(part[:2] - box[:2], 0) + np.maximum(part[2:] - box[2:], 0)
    if (2 * np.abs(shift) > sides).any():
        return None
    motion = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    return move_mask(expected, motion) | visible


def _area_jumped(mask: CroppedMask, expected: CroppedMask | None, limit: float) -> bool:
    """Whether the area changed by more than a factor of `limit`, up or down."""
    if expected is None or expected.is_empty:
        return False
    ratio = mask.area / expected.area
    return not 1 / limit <= ratio <= limit


def _without_crumbs(mask: CroppedMask) -> CroppedMask:
    """A mask without the pieces that are small beside its largest one."""
    _, parts, table, _ = cv2.connectedComponentsWithStats(mask.crop.view(np.uint8), connectivity=4)
    areas = table[1:, cv2.CC_STAT_AREA]
    small = areas < _CRUMB * areas.max(initial=0)
    if not small.any():
        return mask
    kept = np.append(False, ~small)[parts]
    return CroppedMask.at(mask.image_hw, mask.box_xyxy[:2], kept)


def _overlaps(mask: CroppedMask, others: Sequence[CroppedMask]) -> list[tuple[float, float]]:
    """Share of a mask that lies in each of others, and IoU with it; of an empty mask 1 and 0."""
    if mask.is_empty:
        return [(1.0, 0.0)] * len(others)
    return [(mask.share_in(one), mask.iou(one)) for one in others]
