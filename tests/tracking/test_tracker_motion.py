# SPDX-License-Identifier: Apache-2.0
"""The tracker with images: masks move with what they show, hidden ones with the camera."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_iou
from amodal_ros.tracking import points
from amodal_ros.tracking.tracker import AmodalTracker, TrackerConfig
from amodal_ros.types import AmodalPrediction, Detections
from tests.tracking.test_tracking_motion import SIZE, moved, scene
from tests.tracking.tracker_support import Box, filled

OBJECT: Box = (120, 80, 180, 150)


def shifted(box: Box, dx: int, dy: int = 0) -> Box:
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy


def shift_image(image: np.ndarray, dx: float, dy: float = 0) -> np.ndarray:
    return moved(image, np.array([[1.0, 0, dx], [0, 1.0, dy]]))


def with_object(background: np.ndarray, box: Box) -> np.ndarray:
    """A textured square on a background."""
    x0, y0, x1, y1 = box
    image = background.copy()
    image[y0:y1, x0:x1] = scene(9, (96, 96))[: y1 - y0, : x1 - x0]
    return image


def answer(amodal: Box, visible: Box | None = None) -> AmodalPrediction:
    seen = filled(visible, SIZE) if visible else np.zeros(SIZE, bool)
    return AmodalPrediction.from_masks(
        filled(amodal, SIZE)[None], seen[None], np.array([0.9], np.float32)
    )


def run(
    tracker: AmodalTracker,
    stamp: float,
    image: np.ndarray,
    box: Box | None,
    prediction: AmodalPrediction,
):
    found = Detections.from_boxes([box] if box else [])
    plan = tracker.plan(found, stamp, SIZE, image)
    return plan, tracker.update(plan, prediction)


def test_m_spec_moves_with_the_object() -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    background = scene()
    run(tracker, 0.0, with_object(background, OBJECT), OBJECT, answer(OBJECT, OBJECT))
    there = shifted(OBJECT, 8, 3)
    plan, _ = run(tracker, 0.1, with_object(background, there), there, answer(there, there))
    assert mask_iou(plan.prior_masks[0].full(), filled(there, SIZE)) > 0.95


def test_hidden_object_moves_with_the_camera_and_its_own_motion() -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    background = scene()
    screen = (100, 40, 250, 200)
    for frame in range(4):  # the camera pans by 2, the object goes 3 more
        image = with_object(shift_image(background, 2 * frame), shifted(OBJECT, 5 * frame))
        run(
            tracker,
            frame / 10,
            image,
            shifted(OBJECT, 5 * frame),
            answer(shifted(OBJECT, 5 * frame), shifted(OBJECT, 5 * frame)),
        )
    for frame in range(4, 8):
        image = shift_image(background, 2 * frame)
        image[screen[1] : screen[3], screen[0] : screen[2]] = (200, 40, 40)
        _, (item,) = run(tracker, frame / 10, image, None, answer(screen, screen))
        truth = filled(shifted(OBJECT, 5 * frame), SIZE)
        assert item.coasting
        assert not item.visible_mask.any()
        assert mask_iou(item.amodal_mask, truth) > 0.8  # the decoder's answer was the screen
    there = shifted(OBJECT, 40)
    sliver = (there[0] + 20, 90, there[0] + 30, 120)
    _, (item,) = run(tracker, 0.8, shift_image(background, 16), sliver, answer(there, sliver))
    assert (item.track_id, item.coasting) == (0, False)


def test_object_of_which_little_is_seen_does_not_move_with_what_hides_it() -> None:
    """On a sliver most points are the occluder's, whose rim the mask takes in."""
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    whole: Box = (60, 60, 220, 200)
    image = scene()
    for frame in range(4):
        run(tracker, frame / 10, image, whole, answer(whole, whole))
    x0, y0, x1, y1 = whole
    sliver = (x0, y0, x0 + 35, y1)
    for frame in range(4, 10):
        hiding = shift_image(scene(5), 3 * frame)
        image[y0:y1, x0 : x1 + 20] = hiding[y0:y1, x0 : x1 + 20]
        plan, _ = run(tracker, frame / 10, image, sliver, answer(sliver, sliver))
        assert mask_iou(plan.prior_masks[0].full(), filled(whole, SIZE)) > 0.98


@pytest.mark.parametrize(("left", "right", "goes"), [(12, 4, False), (5, 4, True)])
def test_edges_that_go_apart_tell_no_motion(left: int, right: int, goes: bool) -> None:
    """What comes over one side, and a mask that is a little wrong on the other, is no motion."""
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    plain = scene()
    plain[60:200, 60:260] = 128  # no points: edges alone tell
    x0, y0, x1, y1 = OBJECT
    for frame in range(4):
        run(tracker, frame / 10, plain, OBJECT, answer(OBJECT, OBJECT))
    seen = (x0 + left, y0, x1 + right, y1)
    run(tracker, 0.4, plain, seen, answer(seen, seen))
    plan = tracker.plan(Detections.empty(), 0.5, SIZE, plain)
    moved_px = plan.boxes_xyxy[0, 0] - seen[0]
    assert (moved_px > 2) == goes


@pytest.mark.parametrize("per_frame", [0.4, 1.4])
def test_a_motion_of_less_than_a_pixel_is_told_by_the_whole_edges(per_frame: float) -> None:
    """A box has whole pixels: by its sides it would stand still, or go twice as fast."""
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    plain = scene()
    plain[40:220, 40:300] = 128  # no points: edges alone tell
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for frame in range(4):
        middle = 150 + per_frame * frame
        oval = ((x + 0.5 - middle) / 30) ** 2 + ((y + 0.5 - 115) / 35) ** 2 < 1
        found = AmodalPrediction.from_masks(oval[None], oval[None], np.array([0.9], np.float32))
        box = (middle - 30, 80.0, middle + 30, 150.0)
        run(tracker, frame / 10, plain, box, found)
    first = tracker.plan(Detections.empty(), 0.4, SIZE, plain).boxes_xyxy[0]
    later = tracker.plan(Detections.empty(), 1.3, SIZE, plain).boxes_xyxy[0]
    assert later[0] - first[0] == pytest.approx(9 * per_frame, abs=0.3 * 9 * per_frame)


def test_corners_are_looked_for_in_every_third_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    find = points.cv2.goodFeaturesToTrack
    monkeypatch.setattr(
        points.cv2, "goodFeaturesToTrack", lambda *one: looked.append(len(looked)) or find(*one)
    )
    tracker, counts = AmodalTracker(), []
    for frame in range(8):
        image = shift_image(scene(), 2 * frame)
        run(tracker, frame / 10, image, OBJECT, answer(OBJECT, OBJECT))
        counts.append(len(looked))
    assert counts == [0, 1, 1, 1, 2, 2, 2, 3]
    tracker.reset()
    run(tracker, 0.8, scene(), OBJECT, answer(OBJECT, OBJECT))
    run(tracker, 0.9, scene(), OBJECT, answer(OBJECT, OBJECT))
    assert len(looked) == 4


def test_cut_resets_and_the_next_identity_is_new(caplog: pytest.LogCaptureFixture) -> None:
    tracker = AmodalTracker()
    run(tracker, 0.0, scene(0), OBJECT, answer(OBJECT, OBJECT))
    tracker.add_object((10, 10, 40, 40))
    with caplog.at_level(logging.WARNING):
        plan, (item,) = run(tracker, 0.1, scene(1), OBJECT, answer(OBJECT, OBJECT))
    assert plan.reset == "scene cut"
    assert "Tracks reset: scene cut" in caplog.text
    assert item.track_id == 2
    assert plan.prior_masks == (None,)
    assert tracker.status().resets == 1


def test_cut_across_a_frame_that_was_not_answered() -> None:
    tracker = AmodalTracker()
    run(tracker, 0.0, scene(0), OBJECT, answer(OBJECT, OBJECT))
    tracker.plan(Detections.from_boxes([OBJECT]), 0.1, SIZE, scene(0))  # the engine failed
    plan, _ = run(tracker, 0.2, scene(0), OBJECT, answer(OBJECT, OBJECT))
    assert (plan.reset, plan.track_ids.tolist()) == ("", [0])
    assert tracker.plan(Detections.empty(), 0.3, SIZE, scene(1)).reset == "scene cut"


def test_track_that_leaves_the_image_ends() -> None:
    tracker = AmodalTracker(TrackerConfig(max_coast=-1.0))
    box = (2, 80, 22, 150)
    for frame in range(3):
        here = (max(2 - 5 * frame, 0), 80, 22 - 5 * frame, 150)
        run(tracker, frame / 10, shift_image(scene(), -5 * frame), here, answer(here, here))
    assert box[2] > 0
    plan = tracker.plan(Detections.empty(), 0.3, SIZE, shift_image(scene(), -32))
    assert len(plan) == 0


def test_image_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"image_rgb: expected size \(240, 320\)"):
        AmodalTracker().plan(Detections.empty(), 0.0, SIZE, np.zeros((10, 10, 3), np.uint8))
