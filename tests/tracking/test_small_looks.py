# SPDX-License-Identifier: Apache-2.0
"""Who is looked at in a smaller region: known objects, where not all fit in at full size."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.tracking.asking import ask
from amodal_ros.tracking.budget import count_small
from amodal_ros.tracking.search import SecondLook
from amodal_ros.tracking.tracker import TrackPlan
from amodal_ros.types import AmodalPrediction
from tests.tracking.virtual_camera import HW, Camera, row_of_boxes

FULL_S, SMALL_S = 0.06, 0.025  # three small ones fit into a frame


def play(camera: Camera, frames: int, boxes: list, first: int = 0) -> None:
    for number in range(first, first + frames):
        camera.frame(number, boxes)


def test_known_objects_are_looked_at_small_where_not_all_fit() -> None:
    large, small = Camera(FULL_S), Camera(FULL_S, small_s=SMALL_S)
    for camera in (large, small):
        play(camera, 20, row_of_boxes(6))
    looks = [sum(map(len, camera.looked_at[8:])) for camera in (large, small)]
    assert looks[1] > 1.6 * looks[0]
    assert not any(large.small_at)
    # Each object is new once, and every two seconds one look is full so that its cost is known.
    assert sum(small.small_at) >= looks[1]
    assert small.late_s <= 1e-6
    status = small.frames.status
    assert status.small_looks == small.small_at[-1]
    assert (status.object_s, status.small_s) == pytest.approx((FULL_S, SMALL_S))
    assert status.bound_s < large.frames.status.bound_s


def test_with_time_for_all_every_look_is_full() -> None:
    camera = Camera(0.01, small_s=0.005)
    play(camera, 8, row_of_boxes(6))
    assert not any(camera.small_at)
    assert len(camera.looked_at[-1]) == 6


def test_new_objects_are_looked_at_full() -> None:
    camera = Camera(FULL_S, small_s=SMALL_S)
    boxes = row_of_boxes(6)
    play(camera, 14, boxes[:5])
    known = {key for asked in camera.looked_at for key in asked}
    play(camera, 10, boxes, first=14)
    plans = [plan for asked in camera.asked_at[14:] for plan in asked]
    first = next(plan for plan in plans if set(plan.track_ids.tolist()) - known)
    row = next(row for row, key in enumerate(first.track_ids.tolist()) if key not in known)
    assert first.small is None or not first.small[row]


def test_of_what_the_model_is_unsure_every_look_is_full() -> None:
    camera = Camera(FULL_S, small_s=SMALL_S)
    camera.sure = 0.6
    play(camera, 14, row_of_boxes(6))
    assert not any(camera.small_at)


def test_the_full_cost_is_measured_again() -> None:
    camera = Camera(FULL_S, small_s=SMALL_S)
    play(camera, 60, row_of_boxes(6))
    full = [len(a) - n for a, n in zip(camera.looked_at[25:], camera.small_at[25:], strict=True)]
    assert 1 <= sum(full) <= 2  # in three and a half seconds


def test_a_second_look_is_full() -> None:
    camera = Camera(FULL_S, small_s=SMALL_S)
    play(camera, 14, row_of_boxes(6))

    def again(plan: TrackPlan, prediction: AmodalPrediction) -> SecondLook | None:
        return SecondLook(plan, np.array([0])) if plan.small is not None else None

    camera.tracker.look_again = again
    play(camera, 8, row_of_boxes(6), first=14)
    twice = [asked for asked in camera.asked_at[14:] if len(asked) > 1]
    assert twice
    for first, second in twice:
        assert count_small(first) == len(first)
        assert (len(second), second.small) == (1, None)


class Predictor:
    """Notes what it is asked."""

    remembers = False

    def __init__(self, looks_small: bool) -> None:
        self.looks_small = looks_small
        self.asked: dict[str, object] = {}

    def predict(self, features, boxes_xyxy, prior_masks, **more) -> AmodalPrediction:
        self.asked = more
        return AmodalPrediction.empty(HW)


def test_the_predictor_is_told_who_is_looked_at_small() -> None:
    camera = Camera(FULL_S, small_s=SMALL_S)
    play(camera, 14, row_of_boxes(6))
    plan = next(plan for asked in camera.asked_at for plan in asked if count_small(plan))
    able, not_able = Predictor(True), Predictor(False)  # as after an exchange of the model
    ask(able, None, plan)
    ask(not_able, None, plan)
    assert able.asked["small"] is plan.small
    assert "small" not in not_able.asked
    for one in (able, not_able):
        assert one.asked["tight"].tolist() == plan.tight.tolist()
