# SPDX-License-Identifier: Apache-2.0
"""Objects without detections, told by what they look like: moved, hidden, lost, found."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest

from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import mask_box
from amodal_ros.object_features import ObjectFeatures
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject, TrackerConfig
from amodal_ros.types import AmodalPrediction, Detections
from tests.tracking.tracker_support import Box, filled

HW = (120, 200)
OBJECT, TABLE, HAND = np.eye(8, dtype=np.float32)[:3]
FRAME_S = 0.1
AT: Box = (60, 40, 80, 70)


class Scene:
    """A table with flat things on it, and a model that segments what fills most of a box."""

    def __init__(self, again: bool = False, **config: float) -> None:
        self.tracker = AmodalTracker(TrackerConfig(**config))
        self.stamp_s = 0.0
        self.again = again
        self.textured = self.plain = False

    def show(
        self, things: list[tuple[Box, np.ndarray]], boxes: list[Box] | None = None
    ) -> tuple[TrackedObject, ...]:
        """The next frame; things that come later in the list lie before the others."""
        picture = np.broadcast_to(TABLE, (*HW, 8)).copy()
        owner = np.full(HW, -1)
        for number, ((x0, y0, x1, y1), vector) in enumerate(things):
            picture[y0:y1, x0:x1], owner[y0:y1, x0:x1] = vector, number
        self.stamp_s += FRAME_S
        image = textured(things) if self.textured else None
        image = np.full((*HW, 3), 128, np.uint8) if self.plain else image
        detections = Detections.from_boxes(boxes or [])
        plan = self.tracker.plan(detections, self.stamp_s, HW, image)
        prediction = predicted(plan.boxes_xyxy, picture, owner)
        if self.again:
            again = self.tracker.look_again(plan, prediction)
            if again is not None:
                second = predicted(again.boxes_xyxy, picture, owner)
                plan, prediction = again.plan, again.joined(prediction, second)
        return self.tracker.update(plan, prediction)


def textured(things: list[tuple[Box, np.ndarray]]) -> np.ndarray:
    """A picture (H, W, 3) uint8 of things with spots, which go with them."""
    rng = np.random.default_rng(0)
    spots = rng.integers(90, 160, (HW[0] // 5, HW[1] // 5, 1), dtype=np.uint8)
    image = np.repeat(spots.repeat(5, axis=0).repeat(5, axis=1), 3, axis=2)
    for x0, y0, x1, y1 in (box for box, _ in things):
        spots = rng.integers(0, 256, ((y1 - y0) // 5, (x1 - x0) // 5, 1), dtype=np.uint8)
        image[y0:y1, x0:x1] = spots.repeat(5, axis=0).repeat(5, axis=1)
    return image


def predicted(boxes: np.ndarray, picture: np.ndarray, owner: np.ndarray) -> AmodalPrediction:
    """The thing with most pixels in each box, cut off at it; the table if there is none."""
    masks = np.zeros((len(boxes), *HW), bool)
    for mask, box in zip(masks, np.round(boxes).astype(int), strict=True):
        inside = np.zeros(HW, bool)
        inside[box[1] : box[3], box[0] : box[2]] = True
        numbers = owner[inside & (owner >= 0)]
        mask |= inside & (owner == (np.bincount(numbers).argmax() if len(numbers) else -1))
    values = np.zeros((1, 8, 50, 50), np.float32)
    cells = picture.reshape(30, 4, 50, 4, 8).mean(axis=(1, 3))
    values[0, :, :30] = cells.transpose(2, 0, 1)
    features = ObjectFeatures(values, (ResizeGeometry.letterbox(HW, 200),) * len(boxes))
    return AmodalPrediction.from_masks(
        masks, masks, np.full(len(boxes), 0.9, np.float32), {}, features
    )


def moved(box: Box, right: int, down: int = 0) -> Box:
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down


def test_object_that_moved_and_changed_its_shape_is_believed() -> None:
    scene = Scene()
    scene.tracker.add_object(AT)
    scene.show([(AT, OBJECT)])
    for frame in range(1, 6):
        place = (60 + 6 * frame, 40, 80 + 6 * frame, 70 - 3 * frame)  # IoU 0.5 with the one before
        (found,) = scene.show([(place, OBJECT)])
        assert not found.coasting
        assert found.position_sigma_px == 0
        assert found.score == 1
    assert np.count_nonzero(found.visible_mask & filled(place, HW)) > 0.6 * 20 * 15


def test_hidden_object_is_not_its_occluder_and_says_that_it_is_not_known() -> None:
    scene = Scene(max_drift=1.0)
    track_id = scene.tracker.add_object(AT)
    scene.show([(AT, OBJECT)])
    scores, sigmas = [], []
    for _ in range(6):
        (found,) = scene.show([(AT, OBJECT), ((50, 35, 90, 80), HAND)])
        assert found.track_id == track_id
        assert found.coasting
        assert not found.visible_mask.any()
        assert np.array_equal(found.amodal_mask, filled(AT, HW))
        scores.append(found.score)
        sigmas.append(found.position_sigma_px)
    assert (np.diff(scores) < 0).all()
    assert (np.diff(sigmas) > 0).all()
    assert sigmas[0] > 0
    (found,) = scene.show([(AT, OBJECT)])
    assert (found.coasting, found.score, found.position_sigma_px) == (False, 1, 0)


def test_ghost_ends_after_max_drift() -> None:
    for max_drift, left in ((0.5, 0), (-1.0, 1)):
        scene = Scene(max_drift=max_drift)
        scene.tracker.add_object(AT)
        scene.show([(AT, OBJECT)])
        for _ in range(8):
            objects = scene.show([])
        assert len(objects) == left


def test_no_ghost_of_a_detected_object_outlives_max_drift_either() -> None:
    scene = Scene(max_coast=-1.0, max_drift=0.5)
    scene.show([(AT, OBJECT)], [AT])
    for _ in range(8):
        seen = scene.show([(AT, OBJECT)])
    assert len(seen) == 1  # without a detection, but in sight
    for _ in range(8):
        hidden = scene.show([(AT, OBJECT), ((50, 35, 90, 80), HAND)])
    assert hidden == ()


def test_lost_object_is_found_elsewhere_and_keeps_its_identity() -> None:
    scene = Scene()
    track_id = scene.tracker.add_object(AT)
    for _ in range(3):
        scene.show([(AT, OBJECT)])
    place = moved(AT, 34, 10)
    for _ in range(4):
        (found,) = scene.show([(place, OBJECT)])
    assert found.track_id == track_id
    assert not found.coasting
    assert np.abs(np.array(mask_box(found.visible_mask)) - place).max() <= 4


def test_lost_object_does_not_take_what_another_one_shows() -> None:
    scene = Scene()
    other = moved(AT, 40)
    first = scene.tracker.add_object(AT)
    second = scene.tracker.add_object(other)
    scene.show([(AT, OBJECT), (other, OBJECT)])
    for _ in range(6):
        found = {one.track_id: one for one in scene.show([(other, OBJECT)])}
        assert np.array_equal(found[second].visible_mask, filled(other, HW))
        assert not found[first].visible_mask.any()


def test_mask_that_the_box_cut_off_grows_back() -> None:
    scene = Scene()
    scene.tracker.add_object(AT)
    for _ in range(3):
        scene.show([(AT, OBJECT)])
    jumped = moved(AT, 12)
    (cut,) = scene.show([(jumped, OBJECT)])
    assert 0 < np.count_nonzero(cut.visible_mask) < 400
    for _ in range(3):
        (found,) = scene.show([(jumped, OBJECT)])
    assert np.array_equal(found.visible_mask, filled(jumped, HW))


def test_hand_that_holds_an_object_is_left_out_of_the_next_prompt() -> None:
    scene = Scene()
    cup, hand = (60, 40, 80, 70), (80, 40, 90, 70)
    scene.tracker.add_object(cup)
    scene.show([(cup, OBJECT)])
    plan = scene.tracker.plan(Detections.empty(), 0.2, HW)
    picture = np.broadcast_to(TABLE, (*HW, 8)).copy()
    picture[40:70, 60:80], picture[40:70, 80:90] = OBJECT, HAND
    both = np.where(filled((60, 40, 90, 70), HW), 0, -1)
    scene.tracker.update(plan, predicted(np.array([(60, 40, 90, 70)], np.float32), picture, both))
    plan = scene.tracker.plan(Detections.empty(), 0.3, HW)
    assert plan.boxes_xyxy[0, 2] <= hand[0] + 4
    assert plan.boxes_xyxy[0, 0] <= cup[0]


def test_lost_object_is_asked_for_again_in_the_same_frame() -> None:
    place = moved(AT, 20)
    seen = []
    for again in (False, True):
        scene = Scene(again=again)
        scene.tracker.add_object(AT)
        scene.show([(AT, OBJECT)])
        (found,) = scene.show([(place, OBJECT), (AT, HAND)])
        seen.append(not found.coasting)
    assert seen == [False, True]
    assert np.abs(np.array(mask_box(found.visible_mask)) - place).max() <= 4


def test_nothing_is_asked_again_for_what_is_seen_or_nowhere() -> None:
    scene = Scene()
    scene.tracker.add_object(AT)
    for things in ([(AT, OBJECT)], [(AT, OBJECT)], [(AT, HAND)]):
        plan = scene.tracker.plan(Detections.empty(), scene.stamp_s, HW)
        picture = np.broadcast_to(TABLE, (*HW, 8)).copy()
        picture[filled(AT, HW)] = things[0][1]
        owner = np.where(filled(AT, HW), 0, -1)
        prediction = predicted(plan.boxes_xyxy, picture, owner)
        assert scene.tracker.look_again(plan, prediction) is None
        scene.tracker.update(plan, prediction)
        scene.stamp_s += FRAME_S


@pytest.mark.parametrize("late", [False, True])
def test_an_answer_is_compared_with_the_look_once(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `look_again`; what takes the answer in, in its frame or later, knows of that."""
    scene = Scene()
    scene.tracker.add_object(AT)
    scene.show([(AT, OBJECT)])
    compared, of = [], ObjectFeatures.of
    monkeypatch.setattr(ObjectFeatures, "of", lambda *row: compared.append(row[1]) or of(*row))
    plan = scene.tracker.plan(Detections.empty(), scene.stamp_s + FRAME_S, HW)
    there = filled(AT, HW)
    picture = np.where(there[..., None], OBJECT, TABLE)
    prediction = predicted(plan.boxes_xyxy, picture, np.where(there, 0, -1))
    scene.tracker.look_again(plan, prediction)
    if late:
        scene.tracker.settle(plan, prediction, scene.tracker.poses(plan))
    else:
        scene.tracker.update(plan, prediction)
    assert compared == [0]


def test_second_track_of_an_object_ends_when_it_shows_the_same() -> None:
    scene = Scene()
    for _ in range(3):
        scene.show([(AT, OBJECT)], [AT])
    twin = (AT[0] - 8, AT[1] - 8, AT[2], AT[3] + 2)  # so unlike that it begins a track
    objects = scene.show([(AT, OBJECT)], [AT, moved(twin, 12, 12)])
    assert len(objects) == 2
    objects = scene.show([(AT, OBJECT)], [AT])
    assert [one.track_id for one in scene.show([(AT, OBJECT)], [AT])] == [0]


def test_what_a_detected_object_looks_like_is_learnt_now_and_then() -> None:
    scene = Scene()
    scene.show([(AT, OBJECT)], [AT])
    other = (0.8 * OBJECT + 0.6 * HAND).astype(np.float32)
    memories = []
    for _ in range(6):
        scene.show([(AT, other)], [AT])
        memories.append(scene.tracker._tracks[0].memory)
    learnt = [one is not before for before, one in pairwise(memories)]
    assert sorted(np.diff(np.flatnonzero(learnt)).tolist()) == [3]
    last = memories[-1].now
    assert float(last.recent.on @ last.first.on) < 0.96


def test_where_to_look_is_kept_in_a_file_without_the_embeddings() -> None:
    scene = Scene()
    for _ in range(3):
        scene.show([(AT, OBJECT)], [AT])
    kept = pickle.loads(pickle.dumps(scene.tracker))
    place, other = scene.tracker._tracks[0].place, kept._tracks[0].place
    assert np.array_equal(place.box, other.box)
    assert vars(other.sight).keys() == {"box"}
    moved = (AT[0] + 6, AT[1] + 6, AT[2] + 6, AT[3] + 6)
    plans = [one.plan(Detections.empty(), 0.4, HW) for one in (scene.tracker, kept)]
    assert np.array_equal(plans[0].boxes_xyxy, plans[1].boxes_xyxy)
    scene.show([(moved, OBJECT)])
    assert scene.tracker.status().tracks == 1


def test_what_comes_over_an_object_does_not_move_it() -> None:
    """Its edge comes down over the object, and the points on that edge with it."""
    scene = Scene()
    scene.textured = True
    scene.tracker.add_object(AT)
    for _ in range(3):
        scene.show([(AT, OBJECT)])
    for edge in range(43, 75, 3):
        (found,) = scene.show([(AT, OBJECT), ((50, edge - 40, 90, edge), HAND)])
    for _ in range(6):
        (found,) = scene.show([(AT, OBJECT), ((50, 33, 90, 73), HAND)])
    assert found.coasting
    assert np.abs(np.array(found.amodal_box_xyxy) - AT).max() <= 3


def test_an_edge_that_is_uncovered_is_no_motion() -> None:
    """Without points on it, the change of its box tells how it moves: by both edges."""
    for shift, passed in ((0, 0), (3, 12)):
        scene = Scene()
        scene.plain = True
        scene.tracker.add_object(AT)
        at = AT
        for right in (20, 20, 15, 20):
            at = moved(at, shift)
            things = [(at, OBJECT), ((at[0] + right, 30, at[0] + 40, 80), HAND)]
            scene.show(things)
        for _ in range(4):
            (found,) = scene.show([((at[0] - 20, 30, at[0] + 60, 80), HAND)])
        assert found.coasting
        assert found.amodal_box_xyxy[0] - at[0] == pytest.approx(passed, abs=4 if shift else 1)
