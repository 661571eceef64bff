# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.association import (
    TrackCandidate,
    associate,
    hold_several,
    own_ids,
    repeat_others,
)
from amodal_ros.types import Detections
from tests.tracking.tracker_support import Box, filled


def hidden(track_id: int, whole: Box, reach_px: float) -> TrackCandidate:
    """An object of which nothing is seen, and that may be so far off."""
    nowhere = np.zeros((3, 4), np.float32)
    mask = CroppedMask.of(filled(whole))
    return TrackCandidate(track_id, "", nowhere, mask, reach_px=reach_px)


def candidate(track_id: int, *boxes: list[float], identity: str = "") -> TrackCandidate:
    return TrackCandidate(track_id, identity, np.array(boxes, np.float32))


def test_greatest_sum_of_overlap_wins_over_the_greatest_pair() -> None:
    """Detection 0 overlaps track 0 best; only by giving it track 1 does detection 1 get any."""
    tracks = [candidate(7, [0, 0, 10, 10]), candidate(8, [0, 4, 10, 14])]
    detections = Detections.from_boxes([[0, 1, 10, 11], [0, -4, 10, 6]])
    assert associate(detections, tracks, 0.2).tolist() == [1, 0]


def test_overlap_below_the_limit_is_no_match() -> None:
    detections = Detections.from_boxes([[0, 0, 10, 10]])
    tracks = [candidate(0, [5, 0, 15, 10])]  # IoU 1/3
    assert associate(detections, tracks, 0.3).tolist() == [0]
    assert associate(detections, tracks, 0.35).tolist() == [-1]


def test_best_of_a_tracks_boxes_counts() -> None:
    """Boxes of the visible part and of the whole find the same track."""
    tracks = [candidate(0, [0, 0, 10, 4], [0, 0, 10, 20], [0, 0, 0, 0])]
    for box in ([0, 0, 10, 4], [0, 0, 10, 20]):
        assert associate(Detections.from_boxes([box]), tracks, 0.9).tolist() == [0]


def test_identity_comes_before_overlap() -> None:
    tracks = [
        candidate(0, [0, 0, 10, 10], identity="a"),
        candidate(1, [50, 0, 60, 10], identity="b"),
    ]
    detections = Detections.from_boxes([[50, 0, 60, 10], [0, 0, 10, 10]], detection_ids=["a", "b"])
    assert associate(detections, tracks, 0.3).tolist() == [0, 1]


def test_contradicting_identities_never_match() -> None:
    tracks = [candidate(0, [0, 0, 10, 10], identity="a"), candidate(1, [0, 0, 10, 10])]
    detections = Detections.from_boxes([[0, 0, 10, 10]], detection_ids=["new"])
    assert associate(detections, tracks, 0.3).tolist() == [1]
    assert associate(detections, tracks[:1], 0.3).tolist() == [-1]


def test_detection_without_identity_may_continue_any_track() -> None:
    tracks = [candidate(0, [0, 0, 10, 10], identity="a")]
    assert associate(Detections.from_boxes([[0, 0, 10, 10]]), tracks, 0.3).tolist() == [0]


def test_repeated_identity_counts_once_for_the_highest_score() -> None:
    detections = Detections.from_boxes(
        [[0, 0, 10, 10], [50, 0, 60, 10]], [0.4, 0.9], detection_ids=["0", "0"]
    )
    assert own_ids(detections) == ("", "0")
    tracks = [candidate(0, [50, 0, 60, 10], identity="0"), candidate(1, [0, 0, 10, 10])]
    assert associate(detections, tracks, 0.3).tolist() == [1, 0]


def test_given_track_decides_first_and_alone() -> None:
    tracks = [candidate(5, [0, 0, 10, 10]), candidate(6, [50, 0, 60, 10], identity="x")]
    detections = Detections.from_boxes(
        [[0, 0, 10, 10], [0, 0, 10, 10]], detection_ids=["x", ""], track_ids=[-1, 6]
    )
    assert associate(detections, tracks, 0.3).tolist() == [0, 1]
    elsewhere = Detections.from_boxes([[0, 0, 10, 10]], track_ids=[9])
    assert associate(elsewhere, tracks, 0.3).tolist() == [-1]


def test_nothing_to_match() -> None:
    assert associate(Detections.empty(), [candidate(0, [0, 0, 1, 1])], 0.3).shape == (0,)
    assert associate(Detections.from_boxes([[0, 0, 1, 1]]), [], 0.3).tolist() == [-1]


def test_box_about_several_known_objects_says_nothing() -> None:
    def candidate(track_id: int, box: tuple[float, ...]) -> TrackCandidate:
        return TrackCandidate(track_id, "", np.array([box, box, box], np.float32))

    known = [candidate(0, (10, 10, 30, 40)), candidate(1, (32, 12, 50, 40))]
    about, one, larger = (9, 10, 51, 41), (10, 11, 30, 40), (0, 0, 100, 90)
    boxes = Detections.from_boxes([about, one, larger])
    assert hold_several(boxes, known).tolist() == [True, False, False]
    named = Detections.from_boxes([about], detection_ids=["7"])
    assert not hold_several(named, known).any()
    assert not hold_several(boxes, known[:1]).any()
    twice = [known[0], candidate(1, (11, 10, 30, 40))]  # two tracks of one object
    assert not hold_several(Detections.from_boxes([(9, 9, 31, 41)]), twice).any()


def test_the_box_of_a_tray_is_its_own_whatever_lies_on_it() -> None:
    def candidate(track_id: int, *boxes: tuple[float, ...]) -> TrackCandidate:
        return TrackCandidate(track_id, "", np.array([*boxes, boxes[-1]], np.float32))

    tray, cup, spoon = (0, 0, 100, 60), (10, 5, 40, 40), (50, 10, 90, 30)
    box = Detections.from_boxes([(1, 0, 100, 61)])
    on_it = [candidate(1, cup, cup), candidate(2, spoon, spoon)]
    assert not hold_several(box, [candidate(0, tray, tray), *on_it]).any()
    fragment = (0, 40, 100, 60)  # what is seen of it was cut out wrongly
    assert not hold_several(box, [candidate(0, tray, fragment), *on_it]).any()
    near = [
        candidate(0, (0, 0, 60, 60), (0, 0, 60, 60)),
        candidate(1, (62, 0, 100, 60), (62, 0, 100, 60)),
    ]
    assert hold_several(box, near).all()


def test_second_box_of_an_object_begins_nothing() -> None:
    a, near, far = (10, 10, 30, 40), (12, 12, 32, 40), (60, 10, 80, 40)
    boxes = Detections.from_boxes([a, near, far], scores=[0.9, 0.8, 0.7])
    assert repeat_others(boxes, np.array([0, -1, -1])).tolist() == [False, True, False]
    assert repeat_others(boxes, np.array([-1, -1, -1])).tolist() == [False, True, False]
    assert repeat_others(boxes, np.array([-1, 0, -1])).tolist() == [True, False, False]
    assert not repeat_others(boxes, np.array([0, 1, 2])).any()
    named = Detections.from_boxes([a, near], [0.9, 0.8], detection_ids=["1", "2"])
    assert not repeat_others(named, np.array([-1, -1])).any()


def test_part_beside_a_hidden_object_is_its_own_as_far_as_it_may_be_off() -> None:
    part = Detections.from_boxes([[30, 20, 36, 40]])
    whole: Box = (40, 10, 60, 50)
    assert associate(part, [hidden(0, whole, 12)], 0.3).tolist() == [0]
    assert associate(part, [hidden(0, whole, 5)], 0.3).tolist() == [-1]
    further = Detections.from_boxes([[20, 20, 26, 40]])  # by more than half its width
    assert associate(further, [hidden(0, whole, 90)], 0.3).tolist() == [-1]
    larger = Detections.from_boxes([[0, 10, 46, 58]])
    assert associate(larger, [hidden(0, whole, 90)], 0.3).tolist() == [-1]


def test_box_beside_an_object_that_was_seen_a_moment_ago_is_no_part_of_it() -> None:
    """Its place is known: a box that reaches far beyond shows something else."""
    beside = Detections.from_boxes([[50, 30, 66, 44]])
    whole: Box = (40, 10, 60, 50)
    assert associate(beside, [hidden(0, whole, 1)], 0.3).tolist() == [-1]
    assert associate(beside, [hidden(0, whole, 6)], 0.3).tolist() == [0]


def test_second_box_of_a_neighbour_is_no_part_of_a_hidden_object() -> None:
    boxes = Detections.from_boxes([[20, 10, 36, 40], [22, 12, 38, 42]], [0.9, 0.6])
    seen = candidate(0, [20, 10, 36, 40])
    assert associate(boxes, [seen, hidden(1, (40, 10, 60, 50), 12)], 0.3).tolist() == [0, -1]


def test_part_beside_two_hidden_objects_is_the_nearer_ones() -> None:
    part = Detections.from_boxes([[30, 20, 34, 40]])
    near, far = hidden(0, (36, 10, 56, 50), 20), hidden(1, (39, 15, 59, 45), 20)
    assert associate(part, [near, far], 0.3).tolist() == [0]
    assert associate(part, [far, near], 0.3).tolist() == [1]


def test_part_is_moved_to_where_a_slanted_object_fills_it() -> None:
    """The corner of its box that lies nearest to the part is empty."""
    slanted = filled((40, 10, 60, 50)) & (np.add.outer(np.arange(60), np.arange(100)) > 85)
    bare = np.zeros((3, 4), np.float32)
    one = TrackCandidate(0, "", bare, CroppedMask.of(slanted), reach_px=15)
    assert associate(Detections.from_boxes([[35, 24, 39, 36]]), [one], 0.3).tolist() == [0]
