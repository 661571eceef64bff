# SPDX-License-Identifier: Apache-2.0
"""What the predictor said of an object beside what had been expected, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.appearance import Likeness
from amodal_ros.tracking.origins import is_rather, joined_thing
from amodal_ros.tracking.staying import Staying
from amodal_ros.tracking.surroundings import Surroundings
from amodal_ros.tracking.track import or_none
from amodal_ros.tracking.types import TrackPlan
from amodal_ros.types import AmodalPrediction

_GROWN = 1.1  # factor of what was visible at best: an object does not grow so at once
_CRUMB = 0.03  # of the largest piece
_RIM = 0.08  # of the square root of its area: so far a cut goes beyond what was cut off


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
        is_another: the visible mask rather shows another lost object, which is like it.
        joined: the part of it that shows another thing; None: there is none.
        whole: all of the object as it was surely seen, moved; None: it was not seen whole.
        added: what of the rest was added to that (`growing.py`); None: nothing.
        staying: the object's pixels of then beside the frame's; None: not known.
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
    added: CroppedMask | None = None
    staying: Staying | None = None

    @property
    def alone(self) -> Answer:
        """Without what is joined to the object.

        What was known to be hidden behind that stays.
        """
        return self if self.joined is None else self._cut

    @cached_property
    def _cut(self) -> Answer:
        """`alone`, where something is joined: an answer that kept itself would be a circle."""
        if self.joined is None:
            return self
        rim = self.joined.dilated(_RIM * math.sqrt(self.joined.area), 2)
        visible = _without_crumbs(self.visible - self.joined, rim)
        raw = self.raw - rim
        if self.expected is not None:
            raw = raw | (self.raw & self.expected)
        raw = _without_crumbs(raw, None) | visible
        return replace(self, raw=raw, visible=visible, joined=None)


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
    """

    amodal: CroppedMask
    visible: CroppedMask
    trusted: bool
    drifted: bool
    confirmed: bool
    repeats: bool = False
    covered: bool = False


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


def answer_to(
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
    if one is not None and (plan.coasting[row] or answer.visible.is_empty):
        answer = replace(answer, staying=one.staying(plan.scene))
    if one is not None and plan.coasting[row]:
        beside = [other for other in plan.forecasts if other is not None and other is not one]
        another, joined = False, None
        if likeness is not None and answer.lost and not answer.visible.is_empty:
            another = is_rather(one, answer.visible, likeness, beside, plan.stamp_s)
        if likeness is not None and not another:
            others = [other.visible for other in beside if other.visible is not None]
            if answer.visible.area > _GROWN * one.evidence:  # by one that it was hiding?
                others += [
                    other.amodal
                    for other in beside
                    if other.visible is None and other.amodal is not None
                ]
            joined = joined_thing(one, answer.visible, likeness, others)
        answer = replace(answer, is_another=another, joined=joined, whole=one.whole)
        if not answer.lost:
            answer = replace(answer, added=or_none(one.added(answer.alone.visible)))
    return answer, around


def _without_crumbs(mask: CroppedMask, rim: CroppedMask | None) -> CroppedMask:
    """A mask without the pieces that are small beside its largest one.

    Args:
        mask: what a cut has left.
        rim: what was cut off, grown: only pieces that lie mostly in it count; None: all do.
    """
    _, parts, table, _ = cv2.connectedComponentsWithStats(mask.crop.view(np.uint8), connectivity=4)
    areas = table[1:, cv2.CC_STAT_AREA]
    small = areas < _CRUMB * areas.max(initial=0)
    if rim is not None and small.any():
        within = np.bincount(parts[rim.cut(mask.box_xyxy)], minlength=len(table))[1:]
        small &= 2 * within > areas
    if not small.any():
        return mask
    kept = np.append(False, ~small)[parts]
    return CroppedMask.at(mask.image_hw, mask.box_xyxy[:2], kept)
