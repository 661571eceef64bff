# SPDX-License-Identifier: Apache-2.0
"""Objects that a user gives: `add_object`, `remove_object`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.tracking.tracker import AmodalTracker, TrackerConfig
from amodal_ros.types import AmodalPrediction, Detections, PointPrompt
from tests.tracking.tracker_support import HW, A, B, answer, filled, see, step


def test_given_object_starts_from_its_box_and_lives_without_detections() -> None:
    tracker = AmodalTracker(TrackerConfig(max_coast=0.5))
    track_id = tracker.add_object(A, class_id="cup")
    plan, (item,) = step(tracker, 5.0, Detections.empty(), [A])
    assert plan.boxes_xyxy.tolist() == [list(A)]
    assert plan.prior_masks == (None,)
    assert plan.detection_index.tolist() == [-1]
    assert (item.track_id, item.class_id, item.pinned) == (track_id, "cup", True)
    assert (item.coasting, item.coasting_s, item.score) == (False, 0, 1)
    for stamp in (5.1, 9.0, 60.0):
        plan, (item,) = step(tracker, stamp, Detections.empty(), [A])
        assert (item.track_id, item.pinned) == (track_id, True)
        assert (item.coasting, item.coasting_s, item.score) == (False, 0, 1)  # it is seen
        assert plan.prior_masks[0] is not None
    seen_s = stamp
    for stamp in (60.5, 61.0):
        _, (item,) = step(tracker, stamp, Detections.empty(), [(0, 0, 0, 0)])
        assert (item.track_id, item.coasting) == (track_id, True)
        assert item.coasting_s == pytest.approx(stamp - seen_s)
        assert item.score == pytest.approx(0.5 ** (stamp - seen_s))


def test_given_mask_is_the_first_m_spec() -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    step(tracker, 0.0, Detections.empty(), [])
    tracker.add_object(A, amodal_mask=filled(A))
    plan = tracker.plan(Detections.empty(), 0.1, HW)
    assert np.array_equal(plan.prior_masks[0].full(), filled(A))


def test_given_points_are_a_prompt_of_the_first_frame_that_is_answered() -> None:
    tracker = AmodalTracker()
    tracker.add_object(A, points=PointPrompt.from_points([(15, 20), (25, 35)], [1, 0]))
    failed = tracker.plan(see(B), 0.0, HW)
    plan, _ = step(tracker, 0.1, see(B), [B, A])
    for one in (failed, plan):
        assert one.points[0] is None
        assert one.points[1].coords_xy.tolist() == [[15, 20], [25, 35]]
        assert one.points[1].labels.tolist() == [1, 0]
    plan, _ = step(tracker, 0.2, see(B), [B, A])
    assert plan.points == (None, None)


def test_given_points_refine_a_detection_of_the_object_too() -> None:
    tracker = AmodalTracker()
    tracker.add_object(A, points=PointPrompt.from_points([(15, 20)]))
    plan, _ = step(tracker, 0.0, see(A), [A])
    assert plan.points[0].coords_xy.tolist() == [[15, 20]]


def test_given_points_move_with_the_camera_and_leave_with_it() -> None:
    tracker, rng = AmodalTracker(), np.random.default_rng(0)
    wide = np.kron(rng.integers(0, 256, (30, 60)), np.ones((4, 4))).astype(np.uint8)
    frames = [np.repeat(wide[:, x : x + 160, None], 3, axis=2) for x in (0, 6)]
    hw = frames[0].shape[:2]
    nothing = AmodalPrediction.empty(hw)
    tracker.update(tracker.plan(Detections.empty(), 0.0, hw, frames[0]), nothing)
    points = PointPrompt.from_points([(60, 60), (3, 50)], [1, 0])
    tracker.add_object((2, 40, 80, 80), points=points)
    plan = tracker.plan(Detections.empty(), 0.1, hw, frames[1])
    np.testing.assert_allclose(plan.points[0].coords_xy, [[54, 60]], atol=0.5)
    assert plan.points[0].labels.tolist() == [1]


def test_points_of_which_none_on_the_object_is_in_the_image_are_no_prompt() -> None:
    tracker = AmodalTracker()
    tracker.add_object(A, points=PointPrompt.from_points([(150, 20), (20, 20)], [1, 0]))
    assert tracker.plan(Detections.empty(), 0.0, HW).points == (None,)


def test_given_object_is_supported_by_a_detection_that_fits() -> None:
    tracker = AmodalTracker()
    track_id = tracker.add_object(A)
    _, objects = step(tracker, 0.0, see(B, A, class_ids=["can", "cup"]), [B, A])
    assert [item.pinned for item in objects] == [False, True]
    assert (objects[1].track_id, objects[1].class_id) == (track_id, "cup")
    assert objects[0].track_id != track_id


def test_removed_object_is_gone_and_its_identity_stays_unused() -> None:
    tracker = AmodalTracker()
    track_id = tracker.add_object(A)
    tracker.remove_object(track_id)
    assert len(tracker) == 0
    assert tracker.add_object(A) == track_id + 1
    with pytest.raises(InvalidInputError, match=r"track_id: expected one of \[1\], got 0"):
        tracker.remove_object(track_id)


@pytest.mark.parametrize("detections", [Detections.empty(), see(A)])
def test_object_removed_during_a_frame_does_not_come_back(detections: Detections) -> None:
    tracker = AmodalTracker()
    track_id = tracker.add_object(A)
    plan = tracker.plan(detections, 0.0, HW)
    tracker.remove_object(track_id)
    tracker.update(plan, answer([A]))
    assert len(tracker) == 0


def test_object_given_during_a_frame_starts_in_the_next() -> None:
    tracker = AmodalTracker()
    plan = tracker.plan(see(B), 0.0, HW)
    track_id = tracker.add_object(A)
    tracker.update(plan, answer([B]))
    plan, objects = step(tracker, 0.1, see(B), [B, A])
    assert [item.track_id for item in objects] == [0, track_id]
    assert plan.boxes_xyxy.tolist() == [list(B), list(A)]


def test_given_objects_come_before_others_when_there_are_too_many() -> None:
    tracker = AmodalTracker(TrackerConfig(max_objects=2))
    kept = tracker.add_object(A, score=0.1)
    third = (40, 0, 55, 15)
    plan, _ = step(tracker, 0.0, see(B, third, scores=[0.9, 0.5]), [B, A])
    assert plan.track_ids.tolist() == [1, kept]
    assert plan.dropped == 1
    plan, _ = step(tracker, 0.1, see(third, A, scores=[0.9, 0.5]), [third, A])
    assert plan.track_ids.tolist() == [2, kept]


def test_reset_forgets_given_objects_too() -> None:
    tracker = AmodalTracker()
    tracker.add_object(A)
    step(tracker, 5.0, Detections.empty(), [A])
    plan = tracker.plan(Detections.empty(), 1.0, HW)
    assert len(plan) == 0
    assert "time went back by 4.000 s" in plan.reset


def later(tracker: AmodalTracker) -> AmodalTracker:
    step(tracker, 0.0, Detections.empty(), [])
    return tracker


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.add_object((5, 5, 5, 9)), "box_xyxy.*zero area"),
        (lambda t: t.add_object((5, 5, 9)), "box_xyxy: expected"),
        (lambda t: later(t).add_object((200, 0, 210, 9)), "box_xyxy.*outside"),
        (lambda t: t.add_object(A, score=2), "score: expected"),
        (lambda t: t.add_object(A, amodal_mask=filled(A)), "amodal_mask: expected none before"),
        (
            lambda t: later(t).add_object(A, amodal_mask=np.zeros(HW, bool)),
            "amodal_mask: expected at least one pixel",
        ),
        (lambda t: later(t).add_object(A, amodal_mask=np.ones((5, 5), bool)), "amodal_mask"),
        (
            lambda t: later(t).add_object(A, points=PointPrompt.from_points([(20, 99)])),
            r"points: expected points within the image of 100x60, got \(20.0, 99.0\)",
        ),
        (lambda t: [t.add_object(A) for _ in range(3)], "expected at most 2 objects"),
    ],
)
def test_wrong_objects_are_refused(call: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call(AmodalTracker(TrackerConfig(max_objects=2)))
