# SPDX-License-Identifier: Apache-2.0
"""Motion and cuts, measured on pictures whose motion is known."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.scene import SceneView, scene_motion
from amodal_ros.tracking.track import (
    IDENTITY,
    compose,
    move_box,
    move_mask,
    move_points,
    or_none,
)
from tests.tracking.tracker_support import HW, filled

SIZE = (240, 320)


def scene(seed: int = 0, hw: tuple[int, int] = SIZE) -> np.ndarray:
    """Coloured patches, (H, W, 3) uint8: other colours and places for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (hw[0] // 8, hw[1] // 8, 3), dtype=np.uint8)
    coarse = (coarse * rng.uniform(0.2, 1.0, 3)).astype(np.uint8)
    return cv2.resize(coarse, hw[::-1], interpolation=cv2.INTER_CUBIC)


def moved(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    size = image.shape[1::-1]
    return cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REFLECT)


def turn(degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((160, 120), degrees, scale)
    matrix[:, 2] += shift
    return matrix


@pytest.mark.parametrize("matrix", [turn(0, 1, (7, -4)), turn(3, 1.04, (-5, 2)), IDENTITY])
def test_camera_motion_is_found(matrix: np.ndarray) -> None:
    image = scene()
    motion = scene_motion(SceneView.of(image), SceneView.of(moved(image, matrix)))
    assert not motion.cut
    points = np.array([[40.0, 40.0], [280.0, 60.0], [160.0, 200.0]])
    assert np.abs(move_points(points, motion.shared[0]) - move_points(points, matrix)).max() < 0.7


def test_points_that_were_followed_are_followed_on_in_three_frames() -> None:
    views = [SceneView.of(moved(scene(), turn(0, 1, (3.0 * n, n)))) for n in range(4)]
    points, age = None, []
    for before, after in pairwise(views):
        motion = scene_motion(before, after, points)
        assert np.abs(motion.shared[0][:, 2] - (3, 1)).max() < 0.3
        if points is not None:
            places = points.xy[:, 0].astype(np.float64) + 0.5
            assert np.isin(motion.before_xy, places).all()
        points = motion.points
        age.append(None if points is None else points.age)
    assert age == [1, 2, None]


def test_where_points_are_lost_others_are_looked_for_at_once() -> None:
    image = scene()
    changed = image.copy()
    changed[:, 200:] = scene(3)[:, 200:]
    motion = scene_motion(SceneView.of(image), SceneView.of(changed))
    assert 0.3 < len(motion.before_xy) / motion.looked_for < 0.8
    assert motion.points is None


def test_what_is_replaced_is_not_followed() -> None:
    """Though some of its points seem to come back if they are looked for there alone."""
    image = scene()
    changed = image.copy()
    changed[:, 100:] = scene(4)[:, 100:]
    motion = scene_motion(SceneView.of(image), SceneView.of(changed))
    assert np.count_nonzero(motion.before_xy[:, 0] < 100) > 100
    assert np.count_nonzero(motion.before_xy[:, 0] > 116) < 10


def test_motion_is_in_original_pixels() -> None:
    image = scene(hw=(480, 960))
    motion = scene_motion(
        SceneView.of(image), SceneView.of(moved(image, np.array([[1.0, 0, 12], [0, 1.0, 6]])))
    )
    assert np.abs(motion.shared[0][:, 2] - [12, 6]).max() < 2


def test_another_scene_is_a_cut() -> None:
    for seed in range(1, 6):
        assert scene_motion(SceneView.of(scene(0)), SceneView.of(scene(seed))).cut


def test_light_motion_and_something_before_the_lens_are_no_cuts() -> None:
    image = scene()
    darker = (image * 0.5).astype(np.uint8)
    panned = moved(image, turn(0, 1, (24, 0)))
    hand = image.copy()
    hand[60:, 80:] = (120, 90, 70)
    for other in (darker, panned, hand):
        assert not scene_motion(SceneView.of(image), SceneView.of(other)).cut


def test_what_is_left_beside_a_large_thing_that_goes_at_once_moves_as_one() -> None:
    there = scene()
    before = there.copy()
    before[:, 28:] = there[::-1, :27:-1]
    motion = scene_motion(SceneView.of(before), SceneView.of(moved(there, turn(0, 1, (2, 1)))))
    assert not motion.cut
    assert len(motion.before_xy) < 0.12 * motion.looked_for
    assert np.allclose(motion.shared[0], turn(0, 1, (2, 1)), atol=0.2)
    nothing_left = there[::-1, ::-1].copy()
    assert scene_motion(SceneView.of(nothing_left), SceneView.of(there)).cut


def test_black_frame_is_no_cut_and_has_no_motion() -> None:
    black = SceneView.of(np.zeros((*SIZE, 3), np.uint8))
    for pair in ((SceneView.of(scene()), black), (black, SceneView.of(scene()))):
        motion = scene_motion(*pair)
        assert (motion.cut, motion.shared, len(motion.before_xy)) == (False, (), 0)


@pytest.mark.parametrize("hw", [(1, 1), (3, 700), (2160, 3840)])
def test_any_size_of_image(hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    motion = scene_motion(SceneView.of(image), SceneView.of(image))
    assert not motion.cut
    assert max(SceneView.of(image).grey.shape) <= 320


def test_mask_moves_by_whole_pixels_exactly() -> None:
    mask = np.random.default_rng(0).random(HW) > 0.5
    mask[:10] = mask[-10:] = mask[:, :10] = mask[:, -10:] = False
    shape = CroppedMask.of(mask)
    assert np.array_equal(move_mask(shape, IDENTITY).full(), mask)
    shift = np.array([[1.0, 0, 4], [0, 1.0, -3]])
    assert np.array_equal(move_mask(shape, shift).full(), np.roll(mask, (-3, 4), axis=(0, 1)))
    assert or_none(CroppedMask.of(np.zeros(HW, bool))) is None


def test_mask_is_cut_at_the_border_and_may_vanish() -> None:
    shape = CroppedMask.of(filled((10, 10, 30, 40)))
    out = np.array([[1.0, 0, -20], [0, 1.0, 0]])
    assert np.array_equal(move_mask(shape, out).full(), filled((0, 10, 10, 40)))
    assert not move_mask(shape, np.array([[1.0, 0, 500], [0, 1.0, 0]])).full().any()


def test_motion_that_hardly_turns_a_mask_shifts_its_pixels() -> None:
    shape = CroppedMask.of(filled((20, 20, 60, 30)))
    slight = turn(0.3, 1.002, (6.4, -2.6))
    middle = move_points(np.array([[40.0, 25.0]]), slight)[0]
    moved_by = np.round(middle - (40, 25)).astype(int)
    found = move_mask(shape, slight)
    assert found.crop is shape.crop
    assert np.array_equal(np.array(found.box_xyxy) - np.tile(moved_by, 2), (20, 20, 60, 30))
    assert move_mask(shape, turn(1.5, 1, (0, 0))).crop is not shape.crop


def test_mask_grows_and_turns() -> None:
    shape = CroppedMask.of(filled((20, 20, 60, 30)))
    double = np.array([[2.0, 0, -30], [0, 2.0, -30]])
    grown = move_mask(shape, double).full()
    assert np.count_nonzero(grown ^ filled((10, 10, 90, 30))) < 0.05 * 80 * 20
    quarter = np.array([[0.0, -1, 70], [1.0, 0, -10]])
    turned = move_mask(shape, quarter).full()
    assert np.array_equal(turned, filled((40, 10, 50, 50)))


def test_moving_twice_is_moving_once_by_both() -> None:
    first, second = turn(10, 1.1, (3, 4)), turn(-4, 0.9, (-6, 1))
    points = np.random.default_rng(0).uniform(0, 100, (5, 2))
    both = move_points(points, compose(second, first))
    assert np.allclose(both, move_points(move_points(points, first), second))
    box = move_box((10, 10, 30, 20), np.array([[2.0, 0, 1], [0, 2.0, 2]]))
    assert box.tolist() == [21, 22, 61, 42]
