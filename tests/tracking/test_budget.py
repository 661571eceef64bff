# SPDX-License-Identifier: Apache-2.0
"""Frames answered in time, with a model that takes as long as a test says: no real clock here."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest

from amodal_ros.errors import BackendError
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.aligning import _shown
from amodal_ros.tracking.budget import FrameBudget, looks_until_all, part_of
from amodal_ros.tracking.frames import BudgetedFrames, Looked, ThreadLooks
from amodal_ros.tracking.search import SecondLook
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections, PointPrompt

HW = (100, 400)
INTERVAL_S = 0.1
CARRY_S = 0.005  # what a frame costs beside the looks


class VirtualLooks:
    """A model whose looks take `object_s` each, by a clock that only it and the test move."""

    def __init__(self, object_s: float) -> None:
        self.object_s = object_s
        self.now_s = 0.0
        self.began_s: list[float] = []
        self.asked: list[int] = []
        self._going: tuple[Looked, float, float] | None = (
            None  # what it gives, when, after how long
        )
        self._waiting: list[Callable[[], Looked]] = []
        self.error: Exception | None = None

    def start(self, look: Callable[[], Looked]) -> None:
        self._waiting.append(look)
        self._begin(self.now_s)

    def withdraw(self) -> bool:
        return bool(self._waiting and self._waiting.pop())

    def ready(self, timeout_s: float) -> bool:
        if self._going is None:
            return False
        ends_s, end_s = self._going[1], self.now_s + max(timeout_s, 0.0)
        self.now_s = max(self.now_s, min(ends_s, end_s))
        return ends_s <= end_s

    def collect(self) -> tuple[Looked, float]:
        assert self._going is not None
        (found, ended_s, spent_s), self._going = self._going, None
        self._begin(ended_s)
        if self.error is not None:
            raise self.error
        return found, spent_s

    def close(self) -> None:
        pass

    def _begin(self, at_s: float) -> None:
        """The one that waits begins; in truth so soon as the one before ends."""
        if self._going is None and self._waiting:
            found = self._waiting.pop(0)()
            spent_s = self.object_s * found.looks
            self._going = found, at_s + spent_s, spent_s
            self.began_s.append(at_s)
            self.asked.append(found.looks)


class Camera:
    """A node's way with each frame, on virtual time."""

    def __init__(self, object_s: float, **config: float) -> None:
        self.tracker = AmodalTracker(TrackerConfig(**{"max_objects": 64, **config}))
        self.looks = VirtualLooks(object_s)
        self.frames = BudgetedFrames(self.tracker, self.looks, clock=lambda: self.looks.now_s)
        self.looked_at: list[list[int]] = []
        self.late_s = 0.0

    def frame(
        self, number: int, boxes: list, image: np.ndarray | None = None, shift: float = 0.0
    ) -> tuple[TrackedObject, ...]:
        """Answers a frame in which everything lies `shift` pixels further right."""
        stamp_s = number * INTERVAL_S
        self.looks.now_s = max(self.looks.now_s, stamp_s)
        begun_s = self.looks.now_s
        self.frames.begin()
        found = Detections.from_boxes(boxes)
        plan = self.tracker.plan(found, stamp_s, HW, image)
        asked: list[int] = []

        def look(part: TrackPlan) -> AmodalPrediction:
            asked.extend(part.track_ids.tolist())
            masks = np.array([box_mask(box) for box in part.boxes_xyxy], bool)
            return AmodalPrediction.from_masks(masks, masks, np.full(len(part), 0.75, np.float32))

        objects, _ = self.frames.answer(plan, look, INTERVAL_S, begun_s)
        self.looks.now_s += CARRY_S
        self.looked_at.append(asked)
        self.late_s = max(self.late_s, self.looks.now_s - (stamp_s + INTERVAL_S))
        return objects


def box_mask(box: np.ndarray) -> np.ndarray:
    mask = np.zeros(HW, bool)
    x0, y0, x1, y1 = np.round(box).astype(int)
    mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return mask


def row_of_boxes(count: int) -> list[list[float]]:
    width = HW[1] / count
    return [[width * i + 0.5, 30.0, width * (i + 1) - 0.5, 70.0] for i in range(count)]


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


def texture() -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 255, (HW[0] // 4, HW[1] // 4, 3), np.uint8)
    return cv2.resize(noise, HW[::-1], interpolation=cv2.INTER_CUBIC)


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


def test_parts_of_a_plan() -> None:
    tracker = AmodalTracker()
    plan = tracker.plan(Detections.from_boxes(row_of_boxes(3)), 0.0, HW)
    part = part_of(plan, np.array([2, 0]))
    assert part.track_ids.tolist() == [plan.track_ids[2], plan.track_ids[0]]
    assert len(part.prior_masks) == len(part.forecasts) == len(part.class_ids) == 2
    assert (part.image_hw, part.stamp_s, part.camera.shape) == (HW, 0.0, (2, 3))
    assert len(part_of(plan, np.zeros(0, np.intp))) == 0


@pytest.mark.parametrize(
    ("count", "limit", "turns"), [(0, 1, 0), (1, 1, 1), (4, 1, 8), (8, 3, 4), (8, 8, 1)]
)
def test_the_bound(count: int, limit: int, turns: int) -> None:
    assert looks_until_all(count, limit) == turns


def test_running_cost() -> None:
    budget, tracker = FrameBudget(), AmodalTracker()
    plan = tracker.plan(Detections.from_boxes(row_of_boxes(4)), 0.0, HW)
    assert len(budget.choose(plan, 0.1, 0.1)) == 1  # not known yet
    budget.looked(part_of(plan, np.array([0])), np.ones(1, np.float32), 0.04, looks=2)
    assert len(budget.choose(plan, 0.1, 0.1)) == 4
    assert len(budget.choose(plan, 0.05, 0.1)) == 2
    budget.looked(part_of(plan, np.array([1])), np.ones(1, np.float32), 0.12)
    assert len(budget.choose(plan, 0.1, 0.1)) == 2  # an outlier counts a third
    assert len(budget.choose(plan, 0.0, 0.1)) == 1
    assert len(budget.choose(plan, 0.1, 0.1, full=True)) == 0


def test_who_is_looked_at_is_not_chosen_again_and_who_waits_is() -> None:
    budget, tracker = FrameBudget(), AmodalTracker()
    plan = tracker.plan(Detections.from_boxes(row_of_boxes(4)), 0.0, HW)
    first, second, *_ = plan.track_ids.tolist()
    assert budget.choose(plan, 1.0, 0.1, going=[first], waiting=[second]).tolist() == [1]
    for _ in range(4):
        assert 0 not in budget.choose(plan, 1.0, 0.1, going=[first])


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


def test_what_passes_before_an_object_takes_its_visible_pixels() -> None:
    """The second one hides a corner of the first when it is looked at, then more of it."""
    whole = CroppedMask.filled(HW, (100, 30, 160, 80))
    seen = CroppedMask.filled(HW, (100, 30, 150, 80))
    before = CroppedMask.filled(HW, (140, 30, 200, 80))
    back, front = (whole, seen), (before, before)
    box = (100, 30, 150, 80)
    assert _shown(back, [front], box).box_xyxy == (100, 30, 140, 80)
    assert _shown(front, [back], (140, 30, 200, 80)).box_xyxy == before.box_xyxy
