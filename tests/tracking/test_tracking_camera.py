# SPDX-License-Identifier: Apache-2.0
"""Which motion is the camera's, told from points whose motions are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.camera_motion import choose_camera, own_motion
from amodal_ros.tracking.forecast import forecast
from amodal_ros.tracking.scene import SceneMotion
from amodal_ros.tracking.stream import Stream
from amodal_ros.tracking.track import IDENTITY, Track, move_points
from tests.tracking.tracker_support import Box, filled

HW = (480, 640)
FRAME_S = 0.1


def shift(dx: float, dy: float = 0.0) -> np.ndarray:
    return np.array([[1.0, 0, dx], [0, 1.0, dy]])


def scene(*groups: tuple[Box, int, tuple[float, float]], lost: int = 0) -> SceneMotion:
    """Points spread over boxes, so many in each, each group with its motion; some were lost."""
    rng = np.random.default_rng(0)
    before = np.concatenate([rng.uniform(box[:2], box[2:], (n, 2)) for box, n, _ in groups])
    steps = np.concatenate([np.tile(step, (n, 1)) for _, n, step in groups])
    after = before + steps
    return SceneMotion(
        *(False, before, after, len(before) + lost, 2.0, 640.0),
    )


def track(box: Box, velocity: tuple[float, float] = (0, 0), measured: int = 9) -> Track:
    """An object seen in a box; velocity in pixels per frame."""
    return Track(
        *(0, "", "", 1.0, 0.0, 0.0, np.array(box, float)),
        seen=CroppedMask.of(filled(box, HW)),
        velocity=np.array(velocity) / FRAME_S,
        measured=measured,
    )


BACKGROUND: Box = (0, 0, 640, 100)
SCREEN: Box = (0, 120, 640, 480)


def test_occluder_that_nobody_detects_and_that_has_most_points_is_not_the_camera() -> None:
    seen = scene((BACKGROUND, 8, (0.5, 0)), (SCREEN, 140, (4.3, 0.5)))
    assert np.allclose(choose_camera([], seen, FRAME_S, IDENTITY), shift(0.5), atol=0.01)


def test_motion_that_is_the_cameras_only_where_the_points_are_is_not_taken_for_it() -> None:
    """A turn or a change of scale may fit the points, and lead objects beside them astray."""
    rng = np.random.default_rng(0)
    before = rng.uniform((0, 0), (640, 100), (150, 2))
    grown = move_points(before, np.array([[1.02, 0, -6.4], [0, 1.02, -1.0]]))
    after = move_points(np.where((np.arange(150) < 110)[:, None], grown, before), shift(3.0))
    seen = SceneMotion(False, before, after, 150, 2.0, 640.0)
    lost = track((300, 380, 340, 420))
    lost.shape, lost.seen = lost.seen, None
    camera = choose_camera([lost], seen, FRAME_S, shift(3.0))
    assert np.allclose(move_points(np.array([(320, 400)]), camera), (323, 400), atol=0.5)


def test_camera_that_speeds_up_is_followed() -> None:
    seen = scene(((0, 0, 640, 480), 150, (9.0, -3.0)))
    assert np.allclose(choose_camera([], seen, FRAME_S, shift(2.0)), shift(9.0, -3.0), atol=0.01)


def test_object_that_shows_up_is_no_jump_of_the_camera() -> None:
    seen = scene((BACKGROUND, 25, (3.0, 0)), (SCREEN, 40, (-117.0, 3.0)), lost=120)
    assert np.allclose(choose_camera([], seen, FRAME_S, IDENTITY), shift(3.0), atol=0.01)
    hidden = scene((SCREEN, 15, (-117.0, 3.0)), ((0, 0, 640, 480), 0, (0, 0)), lost=185)
    assert np.allclose(choose_camera([], hidden, FRAME_S, shift(1.0))[:, 2], (1.0, 0), atol=0.05)


def test_jump_that_takes_most_points_along_is_the_cameras() -> None:
    seen = scene(((0, 0, 640, 480), 60, (70.0, 0)), lost=140)
    assert np.allclose(choose_camera([], seen, FRAME_S, IDENTITY), shift(70.0), atol=0.01)


def test_camera_goes_on_where_nothing_tells_and_comes_to_rest() -> None:
    unknown = SceneMotion.unknown()
    assert np.allclose(choose_camera([], unknown, 0.0, shift(6.0)), shift(6.0))
    assert np.allclose(choose_camera([], unknown, 2.0, shift(6.0)), shift(3.0))
    assert np.array_equal(choose_camera([], unknown, FRAME_S, None), IDENTITY)


def test_points_on_a_known_object_count_less_its_own_motion() -> None:
    """It fills the picture and drifts: without the subtraction it would be the camera."""
    seen = scene((SCREEN, 150, (1.2, 1.4)))
    known = track(SCREEN, velocity=(1.2, 1.4))
    assert np.allclose(choose_camera([known], seen, FRAME_S, IDENTITY), IDENTITY, atol=0.05)
    assert choose_camera([], seen, FRAME_S, IDENTITY)[0, 2] > 1


def test_points_on_an_object_that_is_new_do_not_count() -> None:
    seen = scene((BACKGROUND, 20, (0, 0)), (SCREEN, 150, (5.0, 0)))
    new = track(SCREEN, measured=0)
    assert np.allclose(choose_camera([new], seen, FRAME_S, None), shift(5.0), atol=0.01)
    assert np.allclose(choose_camera([new], seen, FRAME_S, shift(4.9)), IDENTITY, atol=0.01)


def test_known_objects_tell_the_camera_from_something_large_that_passes() -> None:
    left, right = (0, 0, 100, 100), (500, 0, 600, 100)
    seen = scene((left, 10, (8, 0)), (right, 10, (8, 0)), (SCREEN, 150, (4, 0)))
    known = [track(left), track(right)]
    assert np.allclose(choose_camera(known, seen, FRAME_S, shift(1.0)), shift(8.0), atol=0.01)


def test_motion_of_an_object_that_is_carried_fast_and_comes_closer() -> None:
    """Its points move by 115 to 125 pixels."""
    box: Box = (200, 100, 400, 300)
    seen = scene((box, 30, (120, 0)))
    grown = seen.after_xy + (seen.before_xy - (300, 200)) * 0.05
    seen = replace(seen, after_xy=grown)
    own = own_motion(CroppedMask.of(filled(box, HW)), seen, IDENTITY)
    assert own is not None
    assert np.linalg.norm(own - (120, 0)) < 2


def test_camera_is_expected_to_go_on_for_the_time_that_passed() -> None:
    stream = Stream(stamp_s=1.0, answered_s=1.0)
    assert stream.expected_camera(1.1) is None
    stream.answered(1.1, None, shift(2.0, -1.0))
    assert np.allclose(stream.expected_camera(1.2), shift(2.0, -1.0))
    assert np.allclose(stream.expected_camera(1.15), shift(1.0, -0.5))
    assert np.allclose(stream.expected_camera(9.0), shift(6.0, -3.0))  # not drawn out further


@pytest.mark.parametrize(("passed_s", "travel_px"), [(0.1, 1.0), (4.0, 28.9), (3600.0, 57.7)])
def test_motion_of_a_hidden_object_fades_within_a_long_step_too(
    passed_s: float, travel_px: float
) -> None:
    box: Box = (200, 100, 240, 140)
    hidden = replace(track(box), seen=None, velocity=np.array([10.0, 0.0]))
    nothing = (SceneMotion.unknown(), IDENTITY, passed_s, HW)
    assert forecast(hidden, *nothing).step[0, 2] == pytest.approx(travel_px, abs=0.1)


def test_hands_that_move_all_known_objects_alike_are_not_the_camera() -> None:
    first, second = (100, 200, 160, 280), (300, 200, 360, 280)
    moved = (9.6, 2.0)
    groups = [(first, 12, moved), (second, 12, moved), ((100, 300, 400, 400), 16, moved)]
    seen = scene((BACKGROUND, 120, (0.0, 0.0)), *groups)
    tracks = [track(first), track(second)]
    assert np.allclose(choose_camera(tracks, seen, FRAME_S, IDENTITY), IDENTITY, atol=0.01)


def test_arms_that_move_apart_do_not_outvote_a_camera_at_rest() -> None:
    """Less than 0.6 of the points are on the background, and far less move in any other way."""
    first, second = (100, 200, 160, 280), (300, 200, 360, 280)
    carried, other = (9.6, 2.0), (-6.0, 9.0)
    groups = [(first, 12, carried), (second, 12, carried), ((100, 300, 400, 400), 20, carried)]
    seen = scene((BACKGROUND, 100, (0.0, 0.0)), *groups, ((450, 120, 600, 400), 48, other))
    tracks = [track(first), track(second)]
    assert np.allclose(choose_camera(tracks, seen, FRAME_S, IDENTITY), IDENTITY, atol=0.01)


def test_points_that_a_growing_picture_moves_as_little_do_not_speak_for_it() -> None:
    """Hands come closer; about the middle of that motion what is at rest would hardly move."""
    middle, grown = np.array([320.0, 50.0]), 0.03
    first, second = (100, 250, 160, 330), (460, 250, 520, 330)
    near, apart = ((290, 20, 350, 80), 60, (0.0, 0.0)), ((600, 420, 640, 480), 15, (-9.0, 7.0))
    hands = [(box, count, (0.0, 0.0)) for box, count in ((first, 16), (second, 16))]
    seen = scene(near, apart, *hands)
    closer = np.arange(len(seen.before_xy)) >= 75
    steps = grown * (seen.before_xy - middle) * closer[:, None]
    seen = replace(seen, after_xy=seen.after_xy + steps)
    tracks = [track(first), track(second)]
    assert np.allclose(choose_camera(tracks, seen, FRAME_S, IDENTITY), IDENTITY, atol=0.01)


def test_a_camera_that_moves_needs_more_points_to_go_on() -> None:
    """Where known objects would be at rest without it, it may have begun to move otherwise."""
    first, second = (100, 200, 160, 280), (300, 200, 360, 280)
    expected = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, 0.0]])
    going_on, otherwise = (5.0, 0.0), (9.6, 2.0)
    groups = [(first, 12, otherwise), (second, 12, otherwise)]
    others = [((100, 300, 400, 400), 20, otherwise), ((450, 120, 600, 400), 48, (-6.0, 9.0))]
    seen = scene((BACKGROUND, 100, going_on), *groups, *others)
    tracks = [track(first), track(second)]
    chosen = choose_camera(tracks, seen, FRAME_S, expected)
    assert np.allclose(chosen[:, 2], otherwise, atol=0.01)
