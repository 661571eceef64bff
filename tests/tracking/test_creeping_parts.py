# SPDX-License-Identifier: Apache-2.0
"""What comes into a mask little by little, or where nobody looked, does not become the object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.answer import Answer
from amodal_ros.tracking.appearance import Likeness, Memory
from amodal_ros.tracking.forecast import Forecast, forecast
from amodal_ros.tracking.judgement import judge_coasting
from amodal_ros.tracking.origins import joined_thing
from amodal_ros.tracking.scene import SceneMotion
from amodal_ros.tracking.settings import TrackerConfig
from amodal_ros.tracking.track import IDENTITY, SureSight, Track
from amodal_ros.tracking.tracker import AmodalTracker
from amodal_ros.types import Detections
from tests.tracking import test_appearance as looks
from tests.tracking.test_appearance import BOX, HAND, OBJECT, mask, surroundings
from tests.tracking.test_tracker_looks import AT, HW, TABLE, predicted
from tests.tracking.tracker_support import filled

HAND_BOX = (40, 20, 60, 30)  # above the object, half as large
HALF_HAND = (40, 24, 60, 30)


def likeness(memory: Memory | None = None) -> Likeness:
    """A frame in which the hand touches the object."""
    found = Likeness.of(surroundings({BOX: OBJECT, HAND_BOX: HAND}), memory or looks.known())
    assert found is not None
    return found


def expected(seen: CroppedMask | None, sure: CroppedMask | None = None) -> Forecast:
    shape = mask(BOX)
    track = Track(0, "", "", 1.0, 0.0, 0.0, np.array(BOX, float), shape=shape, seen=seen)
    track.evidence, track.missed = float(shape.area), 0 if seen is not None else 2
    track.sure = None if sure is None else SureSight(sure, True, 0.0)
    return forecast(track, SceneMotion.unknown(), IDENTITY, 0.1, looks.HW, np.zeros(2))


def joined(one: Forecast) -> CroppedMask | None:
    whole = mask(BOX) | mask(HAND_BOX)
    return joined_thing(one, whole, likeness(), SceneMotion.unknown())


def test_what_is_unlike_the_object_is_told_to_the_pixel_without_the_rim() -> None:
    whole = mask(BOX) | mask(HAND_BOX)
    hand = likeness().unlike(whole, whole)
    assert hand.iou(mask(HAND_BOX)) > 0.85
    assert likeness().unlike(mask(BOX), mask(BOX)).is_empty  # but for the rim


def test_what_crept_in_since_the_object_was_surely_seen_is_cut_off() -> None:
    crept = mask(BOX) | mask((40, 21, 60, 30))  # of the frame before: nearly all of the hand
    assert joined(expected(crept)) is None
    found = joined(expected(crept, sure=mask(BOX)))
    assert found is not None
    assert found.share_in(mask(HAND_BOX)) > 0.95
    assert found.share_in(mask(BOX)) < 0.05


def test_what_was_added_to_a_whole_object_is_cut_off_though_it_is_half_alike() -> None:
    """A sleeve: no cell of it is unlike the object, nor new since the frame before."""
    sleeve = (46, 14, 56, 30)
    around = surroundings({BOX: OBJECT, sleeve: OBJECT + 1.2 * np.eye(8, dtype=np.float32)[4]})
    alike, whole = Likeness.of(around, looks.known()), mask(BOX) | mask(sleeve)
    assert alike is not None
    assert alike.share(mask(sleeve)) > 0.9
    seen = expected(whole, sure=mask(BOX))
    found = joined_thing(seen, whole, alike, SceneMotion.unknown())
    assert found is not None
    assert found.share_in(mask(sleeve)) > 0.95
    assert mask(sleeve).share_in(found) > 0.7
    assert joined_thing(expected(whole), whole, alike, SceneMotion.unknown()) is None
    as_like = Likeness.of(surroundings({BOX: OBJECT, sleeve: OBJECT}), looks.known())
    assert as_like is not None
    assert joined_thing(seen, whole, as_like, SceneMotion.unknown()) is None  # it is its own


def test_a_lost_object_is_found_without_the_hand_that_holds_it() -> None:
    found = joined(expected(None))
    assert found is not None
    assert found.iou(mask(HAND_BOX)) > 0.85
    lost = joined_thing(expected(None), mask(HAND_BOX), likeness(), SceneMotion.unknown())
    assert lost is None  # nothing of it is the object


def test_a_small_thing_beside_the_object_is_told_from_it_though_the_table_is_larger() -> None:
    """A mean of the table and of a small hand is the table's."""
    like = OBJECT * 0.5 + np.eye(8, dtype=np.float32)[4] * 0.87
    hand = (30, 20, 40, 30)
    around = surroundings({BOX: OBJECT, hand: like})
    look = around.view(mask(BOX)).look
    assert look is not None
    cover = around.cover(mask(hand)) > 0.9
    told = Likeness(around, Memory.of(look)).margin[cover]
    blurred = Memory.of(type(look)(look.on, look.off, look.off, look.own, None, None))
    assert told.mean() < Likeness(around, blurred).margin[cover].mean() - 0.1


def answer(visible: CroppedMask, raw: CroppedMask, whole: CroppedMask | None) -> Answer:
    known = mask(BOX)
    return Answer(raw, visible, 0.9, known, known, None, 400.0, likeness(), whole=whole)


def test_nothing_is_hidden_beyond_the_shape_of_an_object_that_was_seen_whole() -> None:
    raw = mask(BOX) | mask(HAND_BOX)
    config = TrackerConfig()
    believed = judge_coasting(answer(mask(BOX), raw, None), [], config)
    assert believed.amodal.area == raw.area
    cut = judge_coasting(answer(mask(BOX), raw, mask(BOX)), [], config)
    assert cut.amodal.area < 1.2 * mask(BOX).area
    changed = judge_coasting(answer(mask(BOX), raw, mask((40, 40, 60, 60))), [], config)
    assert changed.amodal.area == raw.area  # it has another shape now


def test_a_pixel_shows_one_object() -> None:
    other = mask((40, 30, 60, 35))
    judgement = judge_coasting(answer(mask(BOX), mask(BOX), None), [other], TrackerConfig())
    assert judgement.confirmed
    assert judgement.visible.shared(other) == 0
    assert judgement.visible.area == mask((40, 35, 60, 50)).area


def test_what_comes_before_an_object_is_left_out_of_a_mask_that_shows_both() -> None:
    """The one in front shows most of the mask; of a second mask only a rim is left."""
    front = mask((36, 36, 64, 50))
    likely = replace(answer(mask(BOX), mask(BOX), None), evidence=400.0)
    judgement = judge_coasting(likely, [front], TrackerConfig())
    assert judgement.confirmed
    assert judgement.visible.area == mask((40, 30, 60, 36)).area
    assert judgement.amodal.iou(mask(BOX)) > 0.99
    rim = judge_coasting(likely, [mask((38, 32, 62, 52))], TrackerConfig())
    assert not rim.confirmed


def test_the_decoders_part_of_an_object_that_was_seen_whole_is_not_all_of_it() -> None:
    left = (40, 30, 54, 50)  # more than half; three sides stay, since when is not known
    for part, whole, area in (
        (left, mask(BOX), 400),
        (left, None, mask(left).area),
        ((43, 33, 57, 48), mask(BOX), 14 * 15),  # it went away
    ):
        one = replace(answer(mask(part), mask(part), whole), expected_visible=mask(part))
        assert judge_coasting(one, [], TrackerConfig()).amodal.area == area


def test_what_is_known_to_be_behind_a_hand_stays_when_the_hand_is_cut_off() -> None:
    hand = mask((40, 2, 60, 36))
    grown = mask((39, 4, 61, 30))
    far, near = mask((70, 40, 72, 42)), mask((60, 22, 61, 24))
    both = mask(BOX) | hand | far | near
    alone = replace(answer(both, both | grown, None), joined=hand).alone
    assert alone.visible.area == (mask((40, 36, 60, 50)) | far).area  # a leg may lie apart
    assert alone.raw.area == (mask(BOX) | far).area


def test_a_place_does_not_reach_over_another_object_like_it() -> None:
    here, twin = (40, 32, 60, 48), (60, 32, 76, 48)
    around = surroundings({here: OBJECT, twin: OBJECT}, box=(40, 20, 80, 60))
    found = Likeness.of(around, looks.known())
    assert found is not None
    assert max(box[2] for box in found.places()) > 70
    assert max(box[2] for box in found.places([mask(twin)])) < 64


def test_a_hand_that_creeps_in_over_many_frames_stays_out() -> None:
    """To the model it is one thing with the object, to the encoder it is another."""
    tracker = AmodalTracker()
    tracker.add_object(AT)
    x0, y0, x1, y1 = AT
    for frame in range(30):
        top = y0 - max(frame - 15, 0)
        picture = np.broadcast_to(TABLE, (*HW, 8)).copy()
        picture[y0:y1, x0:x1], picture[top:y0, x0:x1] = OBJECT, HAND
        one_thing = np.where(filled((x0, top, x1, y1), HW), 0, -1)
        plan = tracker.plan(Detections.empty(), frame / 10, HW)
        (found,) = tracker.update(plan, predicted(plan.boxes_xyxy, picture, one_thing))
    assert found.visible.iou(CroppedMask.of(filled(AT, HW))) > 0.85
    assert found.amodal.iou(CroppedMask.of(filled(AT, HW))) > 0.85
