# SPDX-License-Identifier: Apache-2.0
"""Which points are followed between two pictures, and which of them are followed back."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking import scene as scenes
from amodal_ros.tracking.scene import Corners, SceneView, scene_motion
from amodal_ros.tracking.stream import Stream
from amodal_ros.tracking.track import IDENTITY
from tests.tracking.test_tracking_motion import SIZE, moved, scene, turn

BOX = (80, 80, 160, 160)


def view(step: int = 0) -> SceneView:
    """The scene after so many steps of a camera that moves evenly."""
    return SceneView.of(moved(scene(), turn(0, 1, (3.0 * step, -2.0 * step))))


def count_in_box(points_xy: np.ndarray) -> int:
    x0, y0, x1, y1 = BOX
    x, y = points_xy.T
    return int(np.count_nonzero((x >= x0) & (x < x1) & (y >= y0) & (y < y1)))


def test_more_points_are_followed_on_objects() -> None:
    seen = CroppedMask.filled(SIZE, BOX)
    plain, with_object = (scene_motion(view(0), view(1), one) for one in ((), (seen,)))
    assert count_in_box(with_object.before_xy) > 1.5 * count_in_box(plain.before_xy)
    beside = len(with_object.before_xy) - count_in_box(with_object.before_xy)
    assert beside == pytest.approx(len(plain.before_xy) - count_in_box(plain.before_xy), rel=0.1)


def test_points_are_followed_on_for_some_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, look = [], scenes.cv2.goodFeaturesToTrack
    monkeypatch.setattr(
        scenes.cv2, "goodFeaturesToTrack", lambda *one: looked.append(step) or look(*one)
    )
    stream, found = Stream(), []
    for step in range(8):
        motion, reason = stream.follow(0.1 * step, SIZE, view(step), ())
        assert reason == ""
        stream.answered(0.1 * step, view(step), IDENTITY, motion.corners)
        found.append(motion)
    assert looked == [1, 4, 7]
    for one in found[1:]:
        assert np.abs(one.shared[0][:, 2] - (3, -2)).max() < 0.3
    assert len(found[3].before_xy) > 0.6 * len(found[1].before_xy)


def test_points_go_on_from_where_they_were_found() -> None:
    motion = scene_motion(view(0), view(1))
    assert motion.corners is not None
    assert np.allclose(motion.corners.xy[:, 0] + 0.5, motion.after_xy, atol=1e-4)


def test_where_many_points_are_lost_new_ones_are_looked_for() -> None:
    covered = scene()
    covered[:, :160] = 128
    assert scene_motion(view(), SceneView.of(covered)).corners is None


def test_points_of_an_unanswered_frame_are_not_followed() -> None:
    """The next frame is compared with the last one that was answered."""
    stream = Stream()
    stream.answered(0.0, view(0), IDENTITY)
    stream.follow(0.1, SIZE, view(1), ())
    motion, _ = stream.follow(0.2, SIZE, view(2), ())
    assert np.abs(motion.shared[0][:, 2] - (6, -4)).max() < 0.3


def test_another_scene_is_a_cut_for_points_that_are_followed_on() -> None:
    known = scene_motion(view(0), view(1)).corners
    for seed in range(1, 6):
        assert scene_motion(view(1), SceneView.of(scene(seed)), (), known).cut


def test_points_that_vouch_for_each_other_are_not_followed_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts, flow = [], scenes._flow
    monkeypatch.setattr(scenes, "_flow", lambda *one: counts.append(len(one[2])) or flow(*one))
    changed = moved(scene(), turn(0, 1, (3, -2)))
    changed[80:160, 80:160] = scene(3)[80:160, 80:160]
    motion = scene_motion(view(0), SceneView.of(changed), (CroppedMask.filled(SIZE, BOX),))
    assert 0 < counts[1] < 0.5 * counts[0]
    same = scene_motion(view(0), view(0), (CroppedMask.filled(SIZE, BOX),))
    assert count_in_box(motion.before_xy) < 0.4 * count_in_box(same.before_xy)
    others = len(motion.before_xy) - count_in_box(motion.before_xy)
    assert others > 0.8 * (len(same.before_xy) - count_in_box(same.before_xy))


def test_points_that_move_apart_are_all_followed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, flow = [], scenes._flow
    monkeypatch.setattr(scenes, "_flow", lambda *one: counts.append(len(one[2])) or flow(*one))
    scene_motion(view(0), SceneView.of(moved(scene(), turn(6, 1.1, (0, 0)))))
    assert counts[1] > 0.8 * counts[0]


def test_a_picture_without_corners_has_no_motion() -> None:
    ramp = np.repeat(np.linspace(0, 255, SIZE[1]).astype(np.uint8)[None], SIZE[0], axis=0)
    flat = SceneView.of(np.repeat(ramp[..., None], 3, axis=2))
    motion = scene_motion(flat, flat, (), Corners(np.zeros((0, 1, 2), np.float32)))
    assert (motion.cut, len(motion.before_xy), motion.shared) == (False, 0, ())
