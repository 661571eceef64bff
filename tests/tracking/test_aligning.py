# SPDX-License-Identifier: Apache-2.0
"""Masks that no model looks at follow the detections of their objects."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.aligning import Edges, _shown
from tests.tracking.virtual_camera import HW, Camera


def test_carried_masks_follow_the_detections() -> None:
    """Nothing is measured without pictures: where the boxes go, the masks go."""
    camera = Camera(0.25)
    box = np.array([100.0, 30.0, 160.0, 80.0])
    for number in range(16):
        moved = box + np.array([2.0, 1.0, 3.0, 1.0]) * number
        objects = camera.frame(number, [moved.tolist()])
        for one in objects:
            assert one.age_s > 0
            assert np.abs(np.array(one.amodal_box_xyxy) - moved).max() <= 2.5
    assert len(objects) == 1


def test_what_covers_an_object_does_not_move_it() -> None:
    camera = Camera(0.25)
    for number in range(12):
        right = 160.0 - 8 * max(number - 6, 0)  # from the seventh frame on it is covered
        objects = camera.frame(number, [[100.0, 30.0, right, 80.0]])
        if number in (7, 8):
            assert abs(objects[0].amodal_box_xyxy[0] - 100) <= 1
            assert abs(objects[0].amodal_box_xyxy[2] - 160) <= 1


def test_what_comes_out_from_behind_an_occluder_is_followed_by_its_own_edge() -> None:
    """It moves right, and something hides all of it that lies beyond x = 160."""
    camera = Camera(0.35)
    for number in range(14):
        left = 60.0 + 5 * number
        objects = camera.frame(number, [[left, 30.0, min(left + 50, 160.0), 80.0]])
        if 7 <= number <= 12:
            (one,) = objects
            assert one.age_s > 0
            assert abs(one.amodal_box_xyxy[0] - left) <= 2  # not held back by the other edge
            assert one.visible_box_xyxy[2] <= 160
    assert one.visible_box_xyxy[0] >= 120


def test_what_is_visible_ends_at_the_box_and_grows_with_it() -> None:
    camera = Camera(0.95)  # it is looked at once
    for number in range(18):
        right = 130.0 if 13 <= number < 16 else 160.0
        objects = camera.frame(number, [[100.0, 30.0, right, 80.0]])
        if number > 12:
            assert objects[0].visible_box_xyxy[2] == right
            assert objects[0].amodal_box_xyxy[2] >= 159


def test_what_another_object_shows_is_not_visible_of_one_without_a_detection() -> None:
    camera = Camera(0.15)
    boxes = [[100.0, 30.0, 160.0, 80.0], [10.0, 30.0, 70.0, 80.0]]
    for number in range(12):
        camera.frame(number, boxes)
    (one, two) = camera.frame(12, [[100.0, 30.0, 160.0, 80.0], [10.0, 30.0, 70.0, 80.0]])
    assert one.visible.shared(two.visible) == 0
    for number in range(13, 18):
        shift = 15.0 * (number - 12)  # the second one passes before the first, which is missed
        objects = camera.frame(number, [[10.0 + shift, 30.0, 70.0 + shift, 80.0]])
        by_id = {item.track_id: item for item in objects}
        assert by_id[one.track_id].visible.shared(by_id[two.track_id].visible) == 0


def test_what_the_model_saw_in_the_same_frame_is_not_visible_of_the_others() -> None:
    """One look fits into a frame: the other object is carried."""
    camera = Camera(0.06)
    for number in range(8):
        objects = camera.frame(number, [[100.0, 30.0, 160.0, 80.0], [10.0, 30.0, 70.0, 80.0]])
    by_place = sorted(objects, key=lambda one: one.amodal_box_xyxy)
    front, missed = (one.track_id for one in by_place)
    met = 0
    for number in range(8, 18):
        shift = 7.0 * (number - 7)  # the second one passes before the first, which is missed
        found = camera.frame(number, [[10.0 + shift, 30.0, 70.0 + shift, 80.0]])
        by_id = {one.track_id: one for one in found}
        if by_id[front].age_s == 0 < by_id[missed].age_s:
            assert by_id[missed].visible.shared(by_id[front].visible) == 0
            met += by_id[missed].amodal.shared(by_id[front].visible) > 0
    assert met >= 2


def test_what_passes_before_an_object_takes_its_visible_pixels() -> None:
    """The second one hides a corner of the first when it is looked at, then more of it."""
    whole = CroppedMask.filled(HW, (100, 30, 160, 80))
    seen = CroppedMask.filled(HW, (100, 30, 150, 80))
    before = CroppedMask.filled(HW, (140, 30, 200, 80))
    back, front = (whole, seen), (before, before)
    box = (100, 30, 150, 80)
    assert _shown(back, [front], box).box_xyxy == (100, 30, 140, 80)
    assert _shown(front, [back], (140, 30, 200, 80)).box_xyxy == before.box_xyxy


def edges(
    expected: tuple[int, int],
    whole: tuple[int, int],
    found: tuple[int, int],
    own: tuple[bool, bool],
) -> Edges:
    pairs = (np.array(pair, float) for pair in (expected, whole, found))
    return Edges(*pairs, np.array(own))


@pytest.mark.parametrize(("found", "shift"), [((104, 112), 4), ((143, 151), 1), ((122, 130), 22)])
def test_an_object_that_passed_behind_another_shows_its_other_edge(
    found: tuple[int, int], shift: float
) -> None:
    """A first edge showed. One that seems to jump by much is not it, if the last one fits."""
    seen = edges((100, 110), (100, 150), found, (True, False))
    assert seen.change == (1.0, shift)


def test_of_two_edges_that_move_apart_the_one_that_moves_more_has_been_covered() -> None:
    covered = edges((100, 150), (100, 150), (110, 148), (True, True))
    assert covered.change == (1.0, -2)


def test_no_object_is_smaller_than_what_shows_of_it() -> None:
    scale, shift = edges((100, 120), (100, 130), (95, 135), (True, False)).change
    assert [scale * 100 + shift, scale * 130 + shift] == pytest.approx([95, 135])
