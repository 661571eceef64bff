# SPDX-License-Identifier: Apache-2.0
"""What comes into a mask little by little, or where nobody looked, does not become the object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.answer import Answer, Outcome
from amodal_ros.tracking.appearance import Likeness
from amodal_ros.tracking.forecast import Forecast, forecast
from amodal_ros.tracking.judgement import judge_coasting
from amodal_ros.tracking.like_cells import places_of, reach_of
from amodal_ros.tracking.look_memory import Memory
from amodal_ros.tracking.origins import joined_thing
from amodal_ros.tracking.place import Sight
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
    return forecast(track, SceneMotion.unknown(), IDENTITY, 0.1, looks.HW)


def joined(one: Forecast) -> CroppedMask | None:
    whole = mask(BOX) | mask(HAND_BOX)
    return joined_thing(one, whole, likeness())


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
    found = joined_thing(seen, whole, alike)
    assert found is not None
    assert found.share_in(mask(sleeve)) > 0.95
    assert mask(sleeve).share_in(found) > 0.7
    assert joined_thing(expected(whole), whole, alike) is None
    as_like = Likeness.of(surroundings({BOX: OBJECT, sleeve: OBJECT}), looks.known())
    assert as_like is not None
    assert joined_thing(seen, whole, as_like) is None  # it is its own


def test_the_more_was_added_the_more_it_must_be_like_the_object() -> None:
    much, little = (46, 14, 56, 30), (46, 24, 52, 30)  # 29 and 8 % of the mask
    sleeve = OBJECT + 0.8 * np.eye(8, dtype=np.float32)[4]
    for part, vector, stays in (
        (much, sleeve, False),
        (little, sleeve, True),
        (much, OBJECT, True),
    ):
        likely = Likeness.of(surroundings({BOX: OBJECT, part: vector}), looks.known())
        assert likely is not None
        whole = mask(BOX) | mask(part)
        seen = expected(whole, sure=mask(BOX))
        found = joined_thing(seen, whole, likely)
        assert not seen.added(whole).is_empty
        assert (found is None) == stays


def test_a_lost_object_is_found_without_the_hand_that_holds_it() -> None:
    found = joined(expected(None))
    assert found is not None
    assert found.iou(mask(HAND_BOX)) > 0.85
    lost = joined_thing(expected(None), mask(HAND_BOX), likeness())
    assert lost is None  # nothing of it is the object


def test_a_small_thing_beside_the_object_is_told_from_it_though_the_table_is_larger() -> None:
    """A mean of the table and of a small hand is the table's."""
    like = OBJECT * 0.5 + np.eye(8, dtype=np.float32)[4] * 0.87
    hand = (30, 20, 40, 30)
    around = surroundings({BOX: OBJECT, hand: like})
    look = around.look(mask(BOX))
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


def test_the_decoder_takes_what_comes_before_an_object_for_a_part_of_it() -> None:
    left = (40, 30, 54, 50)
    for raw, area in (
        ((40, 28, 64, 52), 400),  # larger than all of it
        ((40, 30, 60, 51), 420),  # as large
    ):
        one = replace(answer(mask(left), mask(raw), mask(BOX)), expected_visible=mask(left))
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
    assert max(box[2] for box in places_of(found)) > 70
    assert max(box[2] for box in places_of(found, [mask(twin)])) < 64
    assert reach_of(found, mask(here))[2] > 70
    assert reach_of(found, mask(here), [mask(twin)])[2] < 64
    known = replace(answer(mask(here), mask(here), None), likeness=found)
    seen = Outcome(judge_coasting(known, [], TrackerConfig()), known, around, np.zeros(4))
    for others, right in (([], 75), ([mask(twin)], 61)):
        box = Sight(seen, np.array([40.0, 20.0]), False, others).box
        assert box is not None
        assert box[2] == pytest.approx(right, abs=3)


def test_the_rim_of_another_object_like_it_is_no_place() -> None:
    """Rims are joined all around it: a place that goes around would be twice too large."""
    here, twin = (40, 20, 50, 30), (50, 20, 74, 56)
    around = surroundings({here: OBJECT, twin: OBJECT}, box=(40, 20, 80, 60))
    found = Likeness.of(around, looks.known())
    assert found is not None
    inner = mask((51, 21, 73, 55))  # what the model says of it ends within
    (place,) = places_of(found, [inner])
    assert place[2] < 56
    assert place[3] < 36


def test_the_next_prompt_does_not_grow_by_what_was_added_to_a_whole_object() -> None:
    """The model must find it again by itself."""
    sleeve, both = (46, 14, 56, 30), mask(BOX) | mask((46, 14, 56, 30))
    around = surroundings({BOX: OBJECT, sleeve: OBJECT})
    alike = Likeness.of(around, looks.known())
    known = replace(answer(both, both, mask(BOX)), likeness=alike)
    for added, top in ((mask(sleeve), 28), (None, 12)):
        told = replace(known, added=added)
        judgement = judge_coasting(told, [], TrackerConfig())
        outcome = Outcome(judgement, told, around, np.array(BOX, float))
        box = Sight(outcome, np.array([20.0, 20.0]), False, []).box
        assert box is not None
        assert box[1] == pytest.approx(top, abs=3)


def test_the_look_of_a_whole_object_is_not_learnt_with_what_was_added_to_it() -> None:
    for sleeve, learns in ((5, False), (0, True)):
        tracker = AmodalTracker()
        tracker.add_object(AT)
        x0, y0, x1, y1 = AT
        for frame in range(3):
            top = y0 - 3 * sleeve if frame == 2 else y0
            picture = np.broadcast_to(TABLE, (*HW, 8)).copy()
            picture[top:y1, x0:x1] = picture[y0:y1, x0:x1] = OBJECT
            one_thing = np.where(filled(AT, HW) | filled((x0 + 5, top, x1 - 5, y1), HW), 0, -1)
            before = [track.memory for track in tracker._tracks.values()]
            plan = tracker.plan(Detections.empty(), frame / 10, HW)
            wide = np.array([[x0 - 5, y0 - 20, x1 + 5, y1 + 2]], np.float32)
            tracker.update(plan, predicted(wide, picture, one_thing))
        (track,) = tracker._tracks.values()
        assert (track.memory is not before[0]) == learns


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
