# SPDX-License-Identifier: Apache-2.0
"""Where objects will be: those that move evenly go on, others stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.ahead import Ahead
from amodal_ros.tracking.tracker import TrackedObject

HW = (100, 400)
SIDE = 20
STEP_S = 0.1


def square(x0: int, y0: int = 40, width: int = SIDE) -> CroppedMask:
    return CroppedMask.at(HW, (x0, y0), np.ones((SIDE, width), bool))


def tracked(amodal: CroppedMask, track_id: int = 1, age_s: float = 0.0) -> TrackedObject:
    box = amodal.box_xyxy
    half = CroppedMask.at(HW, box[:2], amodal.crop[:, : amodal.crop.shape[1] // 2])
    names = dict(class_id="", detection_id="", score=1.0, predicted_iou=1.0, coasting=False)
    return TrackedObject(track_id, visible=half, amodal=amodal, age_s=age_s, **names)


def last_shift(masks: Sequence[CroppedMask], ahead_s: float = STEP_S) -> tuple[int, int]:
    """By how much the last of some frames' masks is moved, in pixels."""
    ahead = Ahead()
    for count, mask in enumerate(masks):
        (found,) = ahead.moved([tracked(mask)], count * STEP_S, ahead_s)
    before, after = masks[-1].box_xyxy, found.amodal.box_xyxy
    return after[0] - before[0], after[1] - before[1]


def test_an_object_that_moves_evenly_goes_on() -> None:
    moving = [square(10 + 10 * count, 40 + 2 * count) for count in range(10)]
    assert last_shift(moving) == (10, 2)
    assert last_shift(moving, 2 * STEP_S) == (20, 4)


def test_one_that_shakes_stays() -> None:
    assert last_shift([square(100 + 10 * (count % 2)) for count in range(10)]) == (0, 0)


def test_an_outline_that_flickers_is_no_motion() -> None:
    assert last_shift([square(100 + (count % 3 > 0)) for count in range(10)]) == (0, 0)


def test_a_motion_is_believed_after_it_went_on() -> None:
    assert last_shift([square(10), square(20)]) == (0, 0)
    right, _ = last_shift([square(10), square(20), square(30)])
    assert 5 < right <= 10


def test_one_that_stops_is_soon_taken_to_stay() -> None:
    moving = [square(10 + 10 * count) for count in range(10)]
    assert last_shift([*moving, moving[-1]]) == (0, 0)


def test_one_that_grows_on_one_side_stays() -> None:
    assert last_shift([square(10, width=SIDE + 10 * count) for count in range(10)]) == (0, 0)


def test_what_is_visible_goes_along_and_age_counts_on() -> None:
    ahead = Ahead()
    for count in range(10):
        mask = square(350 + 4 * count)
        (found,) = ahead.moved([tracked(mask, age_s=0.3)], count * STEP_S, STEP_S)
    assert found.age_s == pytest.approx(0.4)
    assert found.amodal.box_xyxy == (390, 40, 400, 60)  # cut off at the image's border
    assert found.visible.box_xyxy == (390, 40, 400, 60)
    (found,) = ahead.moved([tracked(mask, age_s=0.3)], 1.0, 0.0)
    assert found.visible.box_xyxy == (386, 40, 396, 60)


def test_objects_are_told_apart_and_forgotten() -> None:
    ahead = Ahead()
    for count in range(10):
        both = [tracked(square(10 + 10 * count), 1), tracked(square(200), 2)]
        moved = ahead.moved(both, count * STEP_S, STEP_S)
    assert [one.amodal.box_xyxy[0] for one in moved] == [110, 200]
    ahead.moved([], 1.0, STEP_S)
    (found,) = ahead.moved([tracked(square(110), 1)], 1.1, STEP_S)
    assert found.amodal.box_xyxy[0] == 110


def test_it_begins_anew_where_time_goes_back() -> None:
    ahead = Ahead()
    for count in range(10):
        ahead.moved([tracked(square(10 + 10 * count))], count * STEP_S, STEP_S)
    (found,) = ahead.moved([tracked(square(110))], 0.0, STEP_S)
    assert found.amodal.box_xyxy[0] == 110


def test_an_object_without_a_mask_is_passed_on() -> None:
    empty = CroppedMask.empty(HW)
    (found,) = Ahead().moved([tracked(empty)], 0.0, STEP_S)
    assert found.amodal.is_empty
    assert found.visible.is_empty
