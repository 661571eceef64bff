# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import dilate_mask
from amodal_ros.tracking.tracker import AmodalTracker, TrackerConfig
from amodal_ros.types import Detections
from tests.tracking.tracker_support import HW, A, B, Box, answer, filled, see, step


def test_new_objects_start_from_their_boxes() -> None:
    tracker = AmodalTracker()
    detections = see(A, B, scores=[0.5, 0.75], class_ids=["cup", "can"], detection_ids=["", "7"])
    plan, objects = step(tracker, 0.0, detections, [A, B])
    assert plan.boxes_xyxy.tolist() == [list(A), list(B)]
    assert plan.prior_masks == (None, None)
    assert plan.detection_index.tolist() == [0, 1]
    assert not plan.coasting.any()
    assert [item.track_id for item in objects] == [0, 1]
    assert [item.class_id for item in objects] == ["cup", "can"]
    assert [item.detection_id for item in objects] == ["", "7"]
    assert [item.score for item in objects] == [0.5, 0.75]
    assert objects[0].predicted_iou == pytest.approx(0.8)
    assert len(tracker) == 2


def test_previous_amodal_mask_grown_is_the_next_m_spec() -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.2))
    step(tracker, 0.0, see(A), [A], [(10, 10, 30, 20)])
    plan, _ = step(tracker, 0.1, see(A), [A])
    radius = 0.2 * np.sqrt(20 * 30)
    assert plan.prior_masks[0] is not None
    assert np.array_equal(plan.prior_masks[0].full(), dilate_mask(filled(A), radius))
    assert plan.track_ids.tolist() == [0]


def test_regions_of_detected_objects_with_a_mask_are_tight() -> None:
    tracker = AmodalTracker()
    plan, _ = step(tracker, 0.0, see(A), [A])
    assert plan.tight.tolist() == [False]  # new: nothing says how much of it is hidden
    step(tracker, 0.1, see(A, B), [A, B])
    plan, _ = step(tracker, 0.2, see(B), [B, A])
    assert plan.detection_index.tolist() == [0, -1]
    assert plan.tight.tolist() == [True, False]  # where A lies now is a forecast


def test_identities_stay_while_objects_swap_places_in_the_list() -> None:
    tracker = AmodalTracker()
    step(tracker, 0.0, see(A, B), [A, B])
    moved_a, moved_b = (12, 11, 32, 41), (58, 20, 88, 50)
    plan, _ = step(tracker, 0.1, see(moved_b, moved_a), [moved_b, moved_a])
    assert plan.track_ids.tolist() == [1, 0]


def test_detectors_identity_wins_over_place() -> None:
    tracker = AmodalTracker()
    step(tracker, 0.0, see(A, B, detection_ids=["x", "y"]), [A, B])
    plan, objects = step(tracker, 0.1, see(A, B, detection_ids=["y", "x"]), [A, B])
    assert plan.track_ids.tolist() == [1, 0]
    assert plan.prior_masks == (
        None,
        None,
    )  # the previous masks lie elsewhere: start from the boxes
    assert [item.detection_id for item in objects] == ["y", "x"]


def test_object_is_found_by_its_visible_part_and_by_its_whole() -> None:
    part = (10, 10, 30, 18)
    for box in (part, A):
        tracker = AmodalTracker()
        step(tracker, 0.0, see(part), [A], [part])
        plan, _ = step(tracker, 0.1, see(box), [A])
        assert plan.track_ids.tolist() == [0]


def test_hidden_object_coasts_and_keeps_its_identity() -> None:
    tracker = AmodalTracker(TrackerConfig(max_coast=1.0))
    step(tracker, 0.0, see(A, class_ids=["cup"], scores=[0.9], detection_ids=["d"]), [A])
    occluder = (0, 0, 60, 60)
    for stamp in (0.3, 0.6, 0.9):
        plan, (item,) = step(tracker, stamp, Detections.empty(), [A], [occluder])
        assert plan.boxes_xyxy.tolist() == [list(A)]
        assert plan.prior_masks[0] is not None
        assert plan.detection_index.tolist() == [-1]
        assert (item.track_id, item.coasting, item.class_id) == (0, True, "cup")
        assert item.detection_id == ""
        assert item.coasting_s == pytest.approx(stamp)
        assert item.score == pytest.approx(0.9 * 0.5**stamp)
        assert not item.visible_mask.any()  # the unadapted pass saw the occluder
        assert np.array_equal(item.amodal_mask, filled(A))  # and nothing of it is united
        assert item.occlusion_rate == 1.0
    plan, (item,) = step(tracker, 1.2, see(A, detection_ids=["d"]), [A])
    assert (item.track_id, item.coasting, item.coasting_s) == (0, False, 0)


def test_part_beside_a_hidden_object_is_its_own_once_it_may_have_gone_there() -> None:
    """Whoever is not seen for a second may be some pixels off."""
    part: Box = (4, 15, 9, 35)
    for unseen_s, is_same in ((0.1, False), (1.1, True)):
        tracker = AmodalTracker()
        for stamp in (0.0, 0.1, 0.2):
            step(tracker, stamp, see(A), [A])
        for stamp in np.arange(0.3, 0.2 + unseen_s, 0.1):
            step(tracker, float(stamp), Detections.empty(), [B])
        plan = tracker.plan(see(part), 0.2 + unseen_s, HW)
        assert (plan.track_ids[0] == 0) == is_same


def test_coasting_box_follows_the_predicted_mask() -> None:
    tracker = AmodalTracker()
    step(tracker, 0.0, see(A), [A])
    moved = (12, 10, 32, 40)
    step(tracker, 0.1, Detections.empty(), [moved])
    plan, _ = step(tracker, 0.2, Detections.empty(), [moved])
    assert plan.boxes_xyxy.tolist() == [list(moved)]


def test_visible_mask_of_a_coasting_object_that_agrees_stays() -> None:
    tracker = AmodalTracker(TrackerConfig(agreement_iou=0.7))
    step(tracker, 0.0, see(A), [A])
    most = (10, 10, 30, 33)  # IoU 0.77 with A
    _, (item,) = step(tracker, 0.1, Detections.empty(), [A], [most])
    assert np.array_equal(item.visible_mask, filled(most))
    beyond = (10, 8, 30, 38)  # agrees, and reaches outside: visible stays inside amodal
    _, (item,) = step(tracker, 0.2, Detections.empty(), [A], [beyond])
    assert np.array_equal(item.visible_mask, filled((10, 10, 30, 38)))
    assert np.array_equal(item.amodal_mask, filled(A))
    _, (item,) = step(tracker, 0.3, Detections.empty(), [A], [(10, 10, 30, 28)])  # IoU 0.6
    assert not item.visible_mask.any()


@pytest.mark.parametrize(
    ("max_coast", "alive"), [(0.0, [0, 0, 0]), (0.5, [1, 1, 0]), (-1.0, [1, 1, 1])]
)
def test_tracks_end_after_the_time_allowed(max_coast: float, alive: list[int]) -> None:
    tracker = AmodalTracker(TrackerConfig(max_coast=max_coast))
    step(tracker, 10.0, see(A), [A])
    for stamp, count in zip((10.1, 10.5, 10.6), alive, strict=True):
        plan = tracker.plan(Detections.empty(), stamp, HW)
        assert len(plan) == count
        tracker.update(plan, answer([A] * count))
    plan, _ = step(tracker, 10.7, see(A), [A])
    assert plan.track_ids.tolist() == [0 if alive[-1] else 1]  # an ended identity does not return


def test_frame_that_failed_changes_nothing() -> None:
    tracker = AmodalTracker()
    step(tracker, 0.0, see(A), [A])
    tracker.plan(see(A, B), 0.1, HW)  # the engine failed: no update
    assert len(tracker) == 1
    plan, _ = step(tracker, 0.2, see(A), [A])
    assert plan.track_ids.tolist() == [0]


@pytest.mark.parametrize(("stamp", "hw"), [(4.0, HW), (5.1, (100, 60)), (5.1, (60, 101))])
def test_time_going_back_and_another_image_size_reset(stamp: float, hw: tuple[int, int]) -> None:
    tracker = AmodalTracker(TrackerConfig(max_coast=-1))
    step(tracker, 5.0, see(A), [A])
    assert len(tracker.plan(Detections.empty(), stamp, hw)) == 0
    assert len(tracker) == 0
    plan = tracker.plan(see(A), stamp + 0.1, hw)
    assert plan.track_ids.tolist() == [1]
    assert plan.prior_masks == (None,)


def test_same_stamp_twice_does_not_reset() -> None:
    tracker = AmodalTracker()
    step(tracker, 5.0, see(A), [A])
    plan, _ = step(tracker, 5.0, see(A), [A])
    assert plan.track_ids.tolist() == [0]


def test_answer_from_before_a_reset_revives_nothing() -> None:
    tracker = AmodalTracker()
    plan = tracker.plan(see(A), 0.0, HW)
    tracker.reset()
    assert [item.track_id for item in tracker.update(plan, answer([A]))] == [0]
    assert len(tracker) == 0


def test_object_with_an_empty_prediction() -> None:
    """It is handed on empty; the next frame starts from the detection's box."""
    nothing = (0, 0, 0, 0)
    tracker = AmodalTracker()
    _, (item,) = step(tracker, 0.0, see(A), [nothing])
    assert not item.amodal_mask.any()
    assert item.amodal_box_xyxy == item.visible_box_xyxy == nothing
    assert item.occlusion_rate == 0
    plan, _ = step(tracker, 0.1, see(A), [A])
    assert (plan.track_ids.tolist(), plan.prior_masks) == ([0], (None,))
    plan, _ = step(tracker, 0.2, see(A), [nothing])
    assert plan.prior_masks[0] is not None
    plan, _ = step(tracker, 0.3, Detections.empty(), [nothing])
    assert plan.boxes_xyxy.tolist() == [list(A)]  # that of the last detection
    assert plan.prior_masks == (None,)


def test_coasting_object_that_decodes_to_nothing_keeps_its_last_mask() -> None:
    tracker = AmodalTracker()
    step(tracker, 0.0, see(A), [A])
    step(tracker, 0.1, Detections.empty(), [(0, 0, 0, 0)])
    plan, _ = step(tracker, 0.2, Detections.empty(), [A])
    assert plan.boxes_xyxy.tolist() == [list(A)]
    assert plan.prior_masks[0] is not None


def test_best_scores_are_kept_in_the_order_they_came() -> None:
    tracker = AmodalTracker(TrackerConfig(max_objects=2))
    third = (40, 0, 55, 15)
    plan = tracker.plan(see(A, B, third, scores=[0.5, 0.1, 0.9]), 0.0, HW)
    assert plan.detection_index.tolist() == [0, 2]
    assert plan.boxes_xyxy.tolist() == [list(A), list(third)]
    assert plan.dropped == 1


def test_coasting_tracks_give_way_to_detections() -> None:
    tracker = AmodalTracker(TrackerConfig(max_objects=2))
    step(tracker, 0.0, see(A, B, scores=[0.5, 0.9]), [A, B])
    third = (40, 0, 55, 15)
    plan, _ = step(tracker, 0.1, see(third, scores=[0.3]), [third, B])
    assert plan.track_ids.tolist() == [2, 1]  # of the two, the one of higher score coasts on
    assert len(tracker) == 2


def test_thousands_of_detections_are_cheap() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (5000, 2))
    detections = Detections.from_boxes(
        np.concatenate([corners, corners + 5], axis=1), rng.random(5000)
    )
    tracker = AmodalTracker()
    plan = tracker.plan(detections, 0.0, HW)
    assert (len(plan), plan.dropped) == (16, 4984)
    assert sorted(plan.detection_index) == sorted(np.argsort(-detections.scores)[:16])
    assert plan.detection_index.tolist() == sorted(plan.detection_index)


def test_tracks_that_the_detections_name() -> None:
    tracker = AmodalTracker()
    plan, _ = step(tracker, 0.0, see(A, B, track_ids=[5, -1]), [A, B])
    assert plan.track_ids.tolist() == [5, 0]
    plan, _ = step(tracker, 0.1, see(B, A, track_ids=[5, 0]), [B, A])
    assert plan.track_ids.tolist() == [5, 0]
    plan = tracker.plan(see(A, B, track_ids=[7, 7]), 0.2, HW)
    assert len(set(plan.track_ids.tolist())) == len(plan)


def test_no_detections_and_no_tracks() -> None:
    plan, objects = step(AmodalTracker(), 0.0, Detections.empty(), [])
    assert len(plan) == 0
    assert plan.boxes_xyxy.shape == (0, 4)
    assert objects == ()


def test_memory_does_not_grow_with_time() -> None:
    tracker = AmodalTracker(TrackerConfig(max_coast=-1, max_objects=4))
    rng = np.random.default_rng(0)
    for frame in range(200):
        x, y = (int(value) for value in rng.uniform(0, 50, 2))
        box = (x, y, x + 9, y + 9)
        plan = tracker.plan(see(box, detection_ids=[str(frame)]), frame / 10, HW)
        tracker.update(plan, answer([box] + [A] * (len(plan) - 1)))
        assert len(tracker) <= 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.plan(see((200, 0, 210, 9)), 0.0, HW), r"detections.boxes_xyxy\[0\]: outside"),
        (lambda t: t.plan(see(A), float("nan"), HW), "stamp_s: expected a finite time"),
        (lambda t: t.plan(see(A), 0.0, (0, 5)), "image_hw: expected"),
        (
            lambda t: t.update(t.plan(see(A), 0.0, HW), answer([])),
            r"expected masks of shape \(1, 60, 100\), got \(0, 60, 100\)",
        ),
    ],
)
def test_wrong_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call(AmodalTracker())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_coast", float("nan")),
        ("prior_dilation", -0.1),
        ("prior_dilation", 2),
        ("match_iou", 0),
        ("agreement_iou", 1.5),
        ("max_objects", 0),
    ],
)
def test_wrong_settings_are_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{field}: expected"):
        TrackerConfig(**{field: value})
