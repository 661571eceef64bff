# SPDX-License-Identifier: Apache-2.0
"""What of an object is where it was, told by its pixels, whatever the encoder makes of them."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.answer import Answer, Outcome
from amodal_ros.tracking.appearance import Likeness
from amodal_ros.tracking.judgement import judge_coasting
from amodal_ros.tracking.scene import SceneView
from amodal_ros.tracking.search import found_place
from amodal_ros.tracking.settings import TrackerConfig
from amodal_ros.tracking.staying import LatePixels, Pixels, Staying
from amodal_ros.tracking.track import IDENTITY, move_mask
from amodal_ros.tracking.tracker import AmodalTracker
from amodal_ros.types import Detections
from tests.tracking import test_appearance as looks
from tests.tracking.test_appearance import BOX, HAND, HW, OBJECT, mask, surroundings
from tests.tracking.test_tracker_looks import AT, TABLE, predicted
from tests.tracking.test_tracker_looks import HW as STREAM_HW
from tests.tracking.tracker_support import Box

RED, SKIN, GREY = (200, 40, 40), (220, 170, 150), (90, 90, 90)
COVERED, LEFT = (40, 30, 54, 50), (54, 30, 60, 50)  # of the object, by a hand


def scene(*things: tuple[Box, tuple[int, int, int]]) -> SceneView:
    """A grey table with coloured things on it; later ones lie before the others."""
    image = np.full((*HW, 3), GREY, np.uint8)
    for (x0, y0, x1, y1), colour in things:
        image[y0:y1, x0:x1] = colour
    return SceneView.of(image)


def staying(now: SceneView, motion: np.ndarray = IDENTITY) -> Staying:
    pixels = Pixels.of(scene((BOX, RED)), mask(BOX))
    assert pixels is not None
    return Staying(pixels, motion, now, HW)


def test_pixels_that_nobody_asked_for_are_kept_in_a_file_without_the_picture() -> None:
    late = LatePixels(scene((BOX, RED)), mask(BOX))
    assert "now" not in vars(late)
    kept, taken = pickle.loads(pickle.dumps(late)), Pixels.of(scene((BOX, RED)), mask(BOX))
    assert vars(kept).keys() == {"now"}
    assert taken is not None
    assert np.array_equal(kept.now.lab, taken.lab)
    assert np.array_equal(kept.now.under, taken.under)


def shifted(right: float, down: float) -> np.ndarray:
    return np.array([[1.0, 0.0, right], [0.0, 1.0, down]])


def test_what_is_left_to_see_is_the_object_and_what_covers_it_is_not() -> None:
    covered = staying(scene((BOX, RED), (COVERED, SKIN)))
    assert covered.shows(mask(LEFT))
    assert not covered.shows(mask(COVERED))
    assert not covered.shows(mask(BOX))  # most of it is the hand
    assert not covered.shows(mask((54, 30, 90, 50)))  # most of it lies elsewhere
    assert not staying(scene()).shows(mask(BOX))


def test_shadow_changes_nothing() -> None:
    dark = (150, 20, 20)
    assert staying(scene((BOX, dark))).shows(mask(BOX))


@pytest.mark.parametrize(("right", "down"), [(0, 0), (12, 5), (-30, 0), (70, 0), (200, 0)])
def test_pixels_go_with_the_object(right: int, down: int) -> None:
    motion = shifted(right, down)
    there = move_mask(mask(BOX), motion)
    box = (BOX[0] + right, BOX[1] + down, BOX[2] + right, BOX[3] + down)
    now = scene((box, RED)) if right < 60 else scene()
    found = staying(now, motion)
    if right < 60:
        assert found.shows(there)
        assert found.box_without([]) == pytest.approx(np.array(box), abs=2)
    else:  # partly or all outside the picture
        assert there.is_empty or not found.shows(there)
        assert found.box_without([]) is None
    if right:
        assert not staying(now).shows(mask(BOX))


def test_the_box_is_that_of_what_no_other_object_shows() -> None:
    found = staying(scene((BOX, RED), (COVERED, SKIN)))
    assert found.box_without([]) == pytest.approx(np.array(LEFT), abs=2)
    twin = staying(scene((BOX, RED)))  # one like it stands before most of it
    assert twin.box_without([mask(COVERED)]) == pytest.approx(np.array(LEFT), abs=2)
    assert twin.box_without([mask(BOX)]) is None
    little = staying(scene((BOX, RED), ((40, 30, 58, 50), SKIN)))
    assert little.box_without([]) is None


def test_pixels_like_those_around_tell_nothing() -> None:
    assert Pixels.of(scene(), mask(BOX)) is None
    assert Pixels.of(scene((BOX, (100, 95, 90))), mask(BOX)) is None
    assert Pixels.of(scene((BOX, RED)), mask((40, 30, 43, 33))) is None  # hardly any
    assert Pixels.of(scene((BOX, (5, 5, 8))), mask(BOX)) is None  # black: so is another's shadow
    assert Pixels.of(scene((BOX, RED)), CroppedMask.empty(HW)) is None


def answer(visible: CroppedMask, pixels: Staying | None) -> Answer:
    """For an object whose embeddings are all others, since a hand has come."""
    likeness = Likeness.of(surroundings({BOX: HAND}), looks.known())
    whole = mask(BOX)
    known = Answer(visible, visible, 0.9, whole, whole, None, 400.0, likeness, whole=whole)
    return replace(known, staying=pixels)


@pytest.mark.parametrize("lost", [False, True])
def test_an_object_that_stays_is_seen_though_its_embeddings_are_others(lost: bool) -> None:
    pixels = staying(scene((BOX, RED), (COVERED, SKIN)))
    for visible, staying_there, seen in (
        (mask(LEFT), pixels, True),
        (mask(LEFT), None, False),
        (mask(COVERED), pixels, False),
    ):
        one = replace(answer(visible, staying_there), lost=lost)
        judgement = judge_coasting(one, [], TrackerConfig())
        assert judgement.confirmed == seen
        assert judgement.amodal.iou(mask(BOX)) > 0.95


def test_a_lost_object_is_looked_for_first_where_its_pixels_are() -> None:
    """Its look says it is where the hand is."""
    pixels = staying(scene((BOX, RED), (COVERED, SKIN)))
    likeness = Likeness.of(surroundings({COVERED: OBJECT}), looks.known())
    known, sides = replace(answer(mask(COVERED), pixels), likeness=likeness), np.array([20.0, 20])
    hidden = judge_coasting(answer(mask(COVERED), None), [], TrackerConfig())
    place = found_place(Outcome(hidden, known, None, np.zeros(4)), sides, [])
    assert place == pytest.approx(np.array(LEFT), abs=2.5)
    unknown = Outcome(hidden, replace(known, staying=None), None, np.zeros(4))
    elsewhere = found_place(unknown, sides, [])
    assert elsewhere is not None
    assert elsewhere[0] < 45


@pytest.mark.parametrize(("colour", "seen"), [(RED, True), (SKIN, False)])
def test_the_tracker_goes_by_the_pixels_of_the_last_sure_sight(
    colour: tuple[int, int, int], seen: bool
) -> None:
    """In the last frame the encoder takes all of the object for the hand on its left half."""
    tracker = AmodalTracker()
    tracker.add_object(AT)
    x0, y0, x1, y1 = AT
    for frame in range(4):
        image = np.full((*STREAM_HW, 3), GREY, np.uint8)
        picture, owner = np.broadcast_to(TABLE, (*STREAM_HW, 8)).copy(), np.full(STREAM_HW, -1)
        image[y0:y1, x0:x1], picture[y0:y1, x0:x1], owner[y0:y1, x0:x1] = RED, OBJECT, 0
        if frame == 3:
            image[y0:y1, x0:x1], picture[y0:y1, x0:x1] = colour, HAND
            image[y0:y1, x0 : x0 + 8], owner[y0:y1, x0 : x0 + 8] = SKIN, 1
        plan = tracker.plan(Detections.empty(), frame / 10, STREAM_HW, image)
        (found,) = tracker.update(plan, predicted(plan.boxes_xyxy, picture, owner))
    assert found.coasting != seen
    assert np.count_nonzero(found.visible_mask) == (360 if seen else 0)
