# SPDX-License-Identifier: Apache-2.0
"""Drift and coasting: which answers are believed."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from amodal_ros.tracking.tracker import AmodalTracker, TrackerConfig
from amodal_ros.types import AmodalPrediction, Detections
from tests.tracking.tracker_support import HW, A, B, Box, answer, filled, see, step

PART: Box = (10, 10, 30, 20)


def doubtful(box: Box, iou: float) -> AmodalPrediction:
    mask = filled(box)[None]
    return AmodalPrediction.from_masks(mask, mask, np.array([iou], np.float32))


@pytest.mark.parametrize(
    "bad",
    [
        doubtful(A, 0.2),  # the decoder doubts it
        answer([(10, 10, 90, 55)], [A]),  # the area jumped
        answer([(14, 24, 30, 40)], [(10, 10, 30, 26)]),  # it misses what is visible
        answer([(0, 0, 0, 0)]),
    ],
)
def test_drift_restarts_m_spec_from_the_box(bad: AmodalPrediction) -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    step(tracker, 0.0, see(A), [A])
    plan = tracker.plan(see(A), 0.1, HW)
    tracker.update(plan, bad)
    assert tracker.status().restarts == 1
    plan, _ = step(tracker, 0.2, see(A), [A])
    assert plan.prior_masks == (None,)
    assert plan.track_ids.tolist() == [0]
    plan, _ = step(tracker, 0.3, see(A), [A])
    assert np.array_equal(plan.prior_masks[0].full(), filled(A))


def test_mask_that_drifted_is_not_what_the_track_coasts_on() -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    step(tracker, 0.0, see(A), [A])
    tracker.update(tracker.plan(see(A), 0.1, HW), answer([(10, 10, 90, 55)], [A]))
    plan = tracker.plan(Detections.empty(), 0.2, HW)
    assert plan.boxes_xyxy.tolist() == [list(A)]


def test_what_came_from_the_box_counts_whatever_its_size() -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    step(tracker, 0.0, see(A), [A])
    large: Box = (10, 10, 90, 55)
    for stamp in (0.1, 0.2):  # drift, then from the box again: so large it is
        tracker.update(tracker.plan(see(A), stamp, HW), answer([large], [A]))
    plan = tracker.plan(see(A), 0.3, HW)
    assert np.array_equal(plan.prior_masks[0].full(), filled(large))


def test_hidden_object_does_not_turn_into_its_occluder_step_by_step() -> None:
    tracker = AmodalTracker(TrackerConfig(max_coast=-1.0))
    step(tracker, 0.0, see(A), [A])
    for frame in range(1, 20):
        creeping = (10 + 2 * frame, 10, 30 + 2 * frame, 40)
        _, (item,) = step(tracker, frame / 10, Detections.empty(), [creeping], [(0, 0, 100, 60)])
    assert np.array_equal(item.amodal_mask, filled(A))


def test_overlooked_object_keeps_what_is_visible_of_it() -> None:
    """A third of it is seen, too little to agree with the whole, but it was seen before."""
    tracker = AmodalTracker()
    step(tracker, 0.0, see(PART), [A], [PART])
    _, (item,) = step(tracker, 0.1, Detections.empty(), [A], [PART])
    assert np.array_equal(item.visible_mask, filled(PART))
    _, (item,) = step(tracker, 0.2, Detections.empty(), [A], [(0, 0, 100, 60)])
    assert not item.visible_mask.any()
    _, (item,) = step(tracker, 0.3, Detections.empty(), [A], [PART])
    assert not item.visible_mask.any()  # it was hidden in between: nothing to continue


def test_given_object_that_nothing_confirms_ends(caplog: pytest.LogCaptureFixture) -> None:
    tracker = AmodalTracker(TrackerConfig(max_drift=1.0))
    tracker.add_object(A)
    step(tracker, 0.0, Detections.empty(), [A])
    with caplog.at_level(logging.WARNING):
        for frame in range(1, 12):
            assert len(tracker) == 1
            step(tracker, frame / 10, Detections.empty(), [B], [(0, 0, 100, 60)])
        assert len(tracker.plan(Detections.empty(), 1.2, HW)) == 0
    assert "Given object 0 ends: not confirmed for 1.1 s" in caplog.text


def test_given_object_survives_a_camera_that_stalls() -> None:
    tracker = AmodalTracker(TrackerConfig(max_drift=1.0))
    tracker.add_object(A)
    step(tracker, 0.0, Detections.empty(), [A])
    plan, _ = step(tracker, 60.0, Detections.empty(), [A])
    assert len(plan) == 1


def test_given_object_outside_the_first_image_ends(caplog: pytest.LogCaptureFixture) -> None:
    tracker = AmodalTracker()
    tracker.add_object((500, 500, 600, 600))
    assert len(tracker.plan(Detections.empty(), 0.0, HW)) == 0
    assert "Given object 0 ends: it left the image" in caplog.text


def test_status_counts() -> None:
    tracker = AmodalTracker()
    tracker.add_object(A)
    step(tracker, 0.0, see(B), [B, A])
    step(tracker, 0.1, Detections.empty(), [A, B])
    status = tracker.status()
    assert (status.tracks, status.coasting, status.pinned) == (2, 2, 1)
    assert (status.resets, status.restarts) == (0, 0)


def test_crowd_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    tracker = AmodalTracker(TrackerConfig(max_objects=1))
    for stamp in (0.0, 0.1, 0.2):
        step(tracker, stamp, see(A, B, scores=[0.9, 0.5]), [A])
    assert caplog.text.count("More objects than max_objects=1") == 1


def test_part_that_comes_out_finds_its_hidden_object() -> None:
    tracker = AmodalTracker()
    step(tracker, 0.0, see(A, B), [A, B])
    step(tracker, 0.1, Detections.empty(), [A, B], [(0, 0, 100, 60)] * 2)
    sliver = (24, 30, 30, 38)  # IoU 0.08
    plan, _ = step(tracker, 0.2, see(sliver), [A, B], [sliver, (0, 0, 100, 60)])
    assert plan.track_ids.tolist() == [0, 1]
    beside = (40, 0, 50, 8)
    plan, _ = step(tracker, 0.3, see(beside), [beside, A, B])
    assert plan.track_ids.tolist() == [2, 0, 1]


def test_object_that_is_being_covered_keeps_its_shape() -> None:
    """Of the little that is left to see, the decoder completes little."""
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    step(tracker, 0.0, see(A), [A])
    left: Box = (10, 10, 30, 22)  # 0.4 of what was visible
    for stamp in (0.1, 0.2, 0.3):
        _, (item,) = step(tracker, stamp, see(left), [left], [left])
        assert np.array_equal(item.amodal_mask, filled(A))
        assert np.array_equal(item.visible_mask, filled(left))
    assert tracker.status().restarts == 0
    plan, (item,) = step(tracker, 0.4, Detections.empty(), [left], [left])
    assert np.array_equal(item.amodal_mask, filled(A))
    assert plan.boxes_xyxy.tolist() == [list(A)]


def test_what_was_seen_long_ago_counts_less_and_less() -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    step(tracker, 0.0, see(A), [A])
    left: Box = (10, 10, 30, 22)
    small: Box = (10, 10, 30, 30)
    for stamp in (0.5, 1.0):  # 0.5 ** (1 / 4) of the evidence are more than 0.4 / 0.5
        _, (item,) = step(tracker, stamp, see(left), [small], [left])
        assert np.array_equal(item.amodal_mask, filled(A))
    _, (item,) = step(tracker, 1.5, see(left), [small], [left])
    assert np.array_equal(item.amodal_mask, filled(small))


def test_shape_is_moved_over_the_little_that_shows_beside_it() -> None:
    """A hidden object was some pixels off: its first sliver says where it is, not what shape."""
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    step(tracker, 0.0, see(A), [A])
    sliver: Box = (31, 12, 36, 40)
    _, (item,) = step(tracker, 0.1, see(sliver, track_ids=[0]), [sliver], [sliver])
    assert np.array_equal(item.amodal_mask, filled((16, 10, 36, 40)))
    assert tracker.status().restarts == 0
    plan = tracker.plan(Detections.empty(), 0.2, HW)
    assert plan.boxes_xyxy.tolist() == [[16, 10, 36, 40]]


@pytest.mark.parametrize("part", [(41, 10, 50, 20), (28, 10, 50, 18)])
def test_little_that_is_visible_far_off_or_does_not_fit_is_no_covered_object(part: Box) -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    step(tracker, 0.0, see(A), [A])
    _, (item,) = step(tracker, 0.1, see(part, track_ids=[0]), [part], [part])
    assert np.array_equal(item.amodal_mask, filled(part))


def test_hidden_object_is_not_its_occluder_cut_to_its_box() -> None:
    """Both passes agree with each other on it; what was expected they resemble little."""
    tracker = AmodalTracker(TrackerConfig(agreement_iou=0.7, coast_iou=0.5))
    step(tracker, 0.0, see(A), [A])
    cut: Box = (10, 10, 30, 30)  # IoU 0.67 with A
    _, (item,) = step(tracker, 0.1, Detections.empty(), [cut], [cut])
    assert np.array_equal(item.amodal_mask, filled(A))
    assert not item.visible_mask.any()


def test_coasting_object_is_not_seen_on_one_that_was_detected() -> None:
    tracker = AmodalTracker()
    step(tracker, 0.0, see(A, B), [A, B])
    occluder: Box = (5, 5, 50, 55)
    most: Box = (10, 10, 30, 38)  # of A's place: the occluder's
    plan, objects = step(tracker, 0.1, see(occluder, track_ids=[1]), [occluder, most])
    assert plan.track_ids.tolist() == [1, 0]
    assert not objects[1].visible_mask.any()
    assert np.array_equal(objects[1].amodal_mask, filled(A))


def test_given_object_that_is_detected_while_covered_is_confirmed() -> None:
    tracker = AmodalTracker(TrackerConfig(max_drift=0.5, prior_dilation=0.0))
    tracker.add_object(A)
    step(tracker, 0.0, Detections.empty(), [A])
    left: Box = (10, 10, 30, 14)
    for stamp in (0.4, 0.8):
        step(tracker, stamp, see(left), [left], [left])
    plan = tracker.plan(Detections.empty(), 1.2, HW)
    assert plan.pinned.tolist() == [True]


def test_object_over_which_a_thing_comes_little_by_little_keeps_its_shape() -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    step(tracker, 0.0, see(A), [A])
    for frame, top in enumerate((14, 18, 22, 26, 30, 34), start=1):
        left: Box = (10, top, 30, 40)  # the decoder completes nothing
        _, (item,) = step(tracker, 0.1 * frame, see(left), [left])
        assert np.array_equal(item.amodal_mask, filled(A))
        assert np.array_equal(item.visible_mask, filled(left))
    assert tracker.status().restarts == 0


@pytest.mark.parametrize("box", [(13, 15, 27, 40), (10, 18, 30, 48), (4, 10, 26, 34)])
def test_what_shrinks_or_moves_is_not_taken_for_covered(box: Box) -> None:
    tracker = AmodalTracker(TrackerConfig(prior_dilation=0.0))
    step(tracker, 0.0, see(A), [A])
    _, (item,) = step(tracker, 0.1, see(box), [box])
    assert np.array_equal(item.amodal_mask, filled(box))
