# SPDX-License-Identifier: Apache-2.0
"""Frames are answered in time, and answers that come late are not lost."""

from __future__ import annotations

import os
import sys
import threading
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from amodal_ros.errors import BackendError
from amodal_ros.tracking.forecast import Forecast
from amodal_ros.tracking.frames import BudgetedFrames, Looked, ThreadLooks
from amodal_ros.tracking.search import SecondLook
from amodal_ros.tracking.tracker import AmodalTracker, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections, PointPrompt
from tests.tracking.virtual_camera import (
    CARRY_S,
    HW,
    INTERVAL_S,
    Camera,
    box_mask,
    row_of_boxes,
    texture,
)


@pytest.mark.parametrize(
    ("count", "object_s", "frames"),
    [(1, 0.26, 40), (4, 0.26, 90), (4, 0.02, 20), (16, 0.02, 24), (50, 0.02, 30), (50, 1e-4, 6)],
)
def test_every_frame_is_answered_in_time_and_no_object_starves(
    count: int, object_s: float, frames: int
) -> None:
    camera = Camera(object_s)
    boxes = row_of_boxes(count)
    last: dict[int, int] = {}
    longest_s, answers = 0.0, 0
    for number in range(frames):
        objects = camera.frame(number, boxes)
        answers = len(objects)
        if number > frames // 2:
            ages = [one.age_s for one in objects]
            longest_s = max(longest_s, *ages)
            assert max(ages) <= camera.frames.status.bound_s + 1e-6
    for number, asked in enumerate(camera.looked_at):
        last.update(dict.fromkeys(asked, number))
    assert camera.late_s <= 1e-6  # the rate of the camera, whatever the number of objects
    assert len(last) == answers == count
    bound_s = camera.frames.status.bound_s
    assert 0 < bound_s <= (2 * count + 1) * max(INTERVAL_S, object_s + INTERVAL_S) + 1e-6
    if object_s * count < 0.5 * INTERVAL_S:
        assert longest_s == 0.0  # all in each frame


def test_an_answer_comes_before_the_next_image_whatever_else_takes_time() -> None:
    """A look would fit into the interval, and not beside transport and publishing."""
    camera, boxes = Camera(0.06), row_of_boxes(4)
    camera.transport_s, camera.publishing_s = 0.02, 0.03
    for number in range(20):
        if number == 3:  # what publishing takes is known by then
            camera.late_s = 0.0
        camera.frame(number, boxes)
    assert camera.late_s <= 1e-6
    assert sum(map(len, camera.looked_at)) >= 15  # the model goes on meanwhile
    camera.transport_s, camera.publishing_s = 0.0, 0.001
    ages_s = [[one.age_s for one in camera.frame(number, boxes)] for number in range(20, 60)]
    assert min(ages_s[-1]) == 0.0  # a look is waited for again


def test_with_time_for_all_it_is_as_without_a_budget() -> None:
    camera, tracker = Camera(0.001), AmodalTracker(TrackerConfig(max_objects=64))
    boxes = row_of_boxes(5)
    for number in range(4):
        objects = camera.frame(number, boxes)
        plan = tracker.plan(Detections.from_boxes(boxes), number * INTERVAL_S, HW)
        masks = np.array([box_mask(box) for box in plan.boxes_xyxy], bool)
        wanted = tracker.update(
            plan, AmodalPrediction.from_masks(masks, masks, np.full(5, 0.75, np.float32))
        )
        if number == 0:
            continue  # what a look costs is not known yet: one is tried
        assert [one.track_id for one in objects] == [one.track_id for one in wanted]
        assert all(one.age_s == 0.0 for one in objects)
        for one, other in zip(objects, wanted, strict=True):
            np.testing.assert_array_equal(one.amodal_mask, other.amodal_mask)


def test_a_stream_of_new_objects_does_not_starve_the_old() -> None:
    """A detector that finds something else in each frame, of which the model takes long."""
    camera = Camera(0.05, max_coast=0.0)
    old = row_of_boxes(8)[:4]
    ids: set[int] = set()
    for number in range(60):
        new = [[220.0 + 15 * (number % 12), 80.0, 230.0 + 15 * (number % 12), 100.0]]
        objects = camera.frame(number, [*old, *new])
        if number > 20:
            known = [one for one in objects if one.amodal_mask[50].any()]
            ids |= {one.track_id for one in known}
            assert len(known) == 4
            assert max(one.age_s for one in known) <= camera.frames.status.bound_s
    assert len(ids) == 4


def test_no_m_spec_is_made_of_what_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    made, prior = [], Forecast.prior
    monkeypatch.setattr(Forecast, "prior", lambda *given: made.append(given) or prior(*given))
    camera = Camera(0.03)
    for number in range(10):
        camera.frame(number, row_of_boxes(8))
    assert 0 < len(made) <= sum(map(len, camera.looked_at)) < 40


def test_what_moves_is_looked_at_more_often() -> None:
    camera = Camera(0.04)  # two looks in a frame
    counts: dict[int, int] = defaultdict(int)
    for number in range(40):
        boxes = row_of_boxes(6)
        boxes[2] = [boxes[2][0], 30.0 + 10 * (number % 2), boxes[2][2], 70.0 + 10 * (number % 2)]
        camera.frame(number, boxes)
        for track_id in camera.looked_at[-1]:
            counts[track_id] += 1
    assert counts[2] > 1.2 * max(counts[row] for row in (0, 1, 3, 4, 5))
    assert min(counts.values()) > 0


def test_an_answer_that_comes_late_is_moved_to_the_present() -> None:
    """The camera pans by three pixels a frame; a look takes four frames."""
    camera, picture = Camera(0.42), texture()
    box = np.array([100.0, 30.0, 160.0, 80.0])
    shifts, ages = [], []
    for number in range(30):
        shift = 3.0 * number
        image = np.roll(picture, int(shift), axis=1)
        moved = box + np.array([shift, 0, shift, 0])
        objects = camera.frame(number, [moved.tolist()], image)
        for one in objects:
            x0 = one.amodal_box_xyxy[0]
            shifts.append(x0 - moved[0])
            ages.append(one.age_s)
    assert camera.late_s <= 1e-6
    assert len(shifts) >= 24
    assert np.abs(shifts).max() <= 2.0
    assert max(ages) > 0.4
    assert min(ages) > 0  # no look ends within its frame


def test_objects_are_not_published_before_the_model_has_seen_them() -> None:
    camera = Camera(0.25)
    seen = [len(camera.frame(number, row_of_boxes(2))) for number in range(12)]
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert seen[-1] == 2


def test_given_objects_are_carried_with_their_points() -> None:
    camera, picture = Camera(0.25), texture()
    points = PointPrompt.from_points([[130.0, 50.0]])
    camera.frame(0, [], picture)
    given = camera.tracker.add_object([100.0, 30.0, 160.0, 80.0], points=points)
    for number in range(1, 12):
        image = np.roll(picture, 3 * number, axis=1)
        objects = camera.frame(number, [], image)
    (one,) = objects
    assert one.track_id == given
    assert one.pinned
    assert abs(one.amodal_box_xyxy[0] - (100 + 3 * 11)) <= 3


def test_a_reset_forgets_the_look_that_goes_on() -> None:
    camera = Camera(0.25)
    camera.frame(0, row_of_boxes(1))
    camera.tracker.reset()
    for number in range(1, 4):
        assert camera.frame(number, row_of_boxes(1)) == ()
    assert len(camera.frame(8, row_of_boxes(1))) == 1


def test_what_a_look_raises_is_raised_by_the_next_frame() -> None:
    camera = Camera(0.25)
    camera.frame(0, row_of_boxes(1))
    camera.looks.error = BackendError("engine gone")
    with pytest.raises(BackendError, match="engine gone"):
        camera.frame(4, row_of_boxes(1))
    camera.looks.error = None
    camera.frame(5, row_of_boxes(1))
    assert len(camera.frame(9, row_of_boxes(1))) == 1


def test_one_look_follows_the_other() -> None:
    """The model has the newest image when it begins, and does not wait for a frame to begin."""
    camera = Camera(0.25)
    for number in range(20):
        camera.frame(number, row_of_boxes(8))
    assert set(camera.looks.asked) == {1}
    pauses = [later - earlier - 0.25 for earlier, later in pairwise(camera.looks.began_s)]
    assert len(pauses) >= 6
    assert np.abs(pauses).max() < 1e-6
    begun = [number for number, asked in enumerate(camera.looked_at) if asked]
    waited_s = [
        at_s - number * INTERVAL_S
        for number, at_s in zip(begun, camera.looks.began_s, strict=True)
    ]
    assert min(waited_s) >= 0
    assert max(waited_s) <= INTERVAL_S + 1e-6


def test_an_answer_does_not_wait_for_a_look_that_takes_longer() -> None:
    camera = Camera(0.25)
    for number in range(12):
        camera.frame(number, row_of_boxes(2))
        if number > 4:
            assert camera.looks.now_s - number * INTERVAL_S <= CARRY_S + 1e-6


def test_looks_in_a_thread() -> None:
    looks = ThreadLooks()
    plan = AmodalTracker().plan(Detections.empty(), 0.0, HW)
    empty = Looked(plan, AmodalPrediction.empty(HW), 0)
    go_on = threading.Event()
    assert not looks.ready(0.0)
    assert not looks.withdraw()
    looks.start(lambda: (go_on.wait(10.0), empty)[1])
    while looks.withdraw():  # it begins at once, in its thread
        looks.start(lambda: (go_on.wait(10.0), empty)[1])
    looks.start(lambda: empty)
    assert looks.withdraw()
    go_on.set()
    assert looks.ready(10.0)
    found, spent_s = looks.collect()
    assert found is empty
    assert spent_s >= 0
    assert not looks.ready(0.0)
    looks.close()


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_looks_give_way_to_answers() -> None:
    looks, found = ThreadLooks(), list[int]()
    plan = AmodalTracker().plan(Detections.empty(), 0.0, HW)
    empty = Looked(plan, AmodalPrediction.empty(HW), 0)

    def look() -> Looked:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return empty

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    looks.start(look)
    looks.collect()
    looks.close()
    assert found[0] > before or before == 19  # there is none lower
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_second_look_counts_and_is_left_out_where_it_does_not_fit() -> None:
    tracker, now = AmodalTracker(), [0.0]
    frames = BudgetedFrames(tracker, clock=lambda: now[0])
    plan = tracker.plan(Detections.from_boxes(row_of_boxes(2)), 0.0, HW)
    asked: list[int] = []

    def look(part: TrackPlan) -> AmodalPrediction:
        asked.append(len(part))
        now[0] += 0.03 * len(part)
        masks = np.array([box_mask(box) for box in part.boxes_xyxy], bool)
        return AmodalPrediction.from_masks(masks, masks, np.full(len(part), 0.75, np.float32))

    lost = SecondLook(plan, np.array([1]))
    tracker.look_again = lambda plan, prediction: lost
    for left_s, looks in ((0.1, 3), (0.08, 2), (0.02, 3)):
        assert frames._look(plan, look, left_s).looks == looks
    assert asked == [2, 1, 2, 2, 1]
