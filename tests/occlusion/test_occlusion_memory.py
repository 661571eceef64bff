# SPDX-License-Identifier: Apache-2.0
"""What earlier images showed of two objects outweighs masks that are wrong once, not for good."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.graph import OcclusionGraph
from amodal_ros.occlusion.memory import OcclusionMemory
from tests.occlusion.drawn import block

# Two objects on one foot line, which says nothing.
ONE, OTHER = block(5, 30, 5, 35), block(20, 50, 5, 35)
BOTH = ONE & OTHER
TRACKS = (7, 3)


def image(
    memory: OcclusionMemory,
    stamp_s: float,
    seen: Sequence[np.ndarray],
    wholes: Sequence[np.ndarray] = (ONE, OTHER),
    tracks: Sequence[int] = TRACKS,
) -> OcclusionGraph:
    visible, amodal = ([CroppedMask.of(mask) for mask in masks] for masks in (seen, wholes))
    return memory.graph(tracks, visible, amodal, stamp_s, upright=False)


FIRST_IN_FRONT, OTHER_IN_FRONT = (ONE, OTHER & ~ONE), (ONE & ~OTHER, OTHER)
# Both claim their overlap, and a strip of it is the other's alone.
WEAKLY_OTHER = (ONE & ~(OTHER & block(26, 30, 5, 35)), OTHER)
NOTHING_SEEN = (ONE & ~BOTH, OTHER & ~BOTH)


def front(graph: OcclusionGraph) -> int:
    (pair,) = graph.pairs
    return pair.front


def test_masks_that_are_wrong_once_do_not_turn_the_order() -> None:
    assert front(image(OcclusionMemory(), 0.0, WEAKLY_OTHER)) == 1
    memory = OcclusionMemory()
    for number in range(3):
        assert front(image(memory, number / 10, FIRST_IN_FRONT)) == 0
    graph = image(memory, 0.3, WEAKLY_OTHER)
    assert front(graph) == 0
    assert graph.pairs[0].evidence < 0 < graph.pairs[0].strength


def test_an_order_that_has_really_turned_is_taken_up() -> None:
    memory = OcclusionMemory()
    for number in range(20):
        image(memory, number / 10, FIRST_IN_FRONT)
    fronts = [front(image(memory, 2 + k / 10, OTHER_IN_FRONT)) for k in range(10)]
    assert fronts[-1] == 1
    assert sorted(fronts) == fronts  # it turns once


def test_what_lies_long_ago_says_nothing() -> None:
    for pause_s, expected in ((0.1, 0), (30.0, 1)):
        memory = OcclusionMemory()
        image(memory, 0.0, FIRST_IN_FRONT)
        assert front(image(memory, pause_s, WEAKLY_OTHER)) == expected


def test_what_was_remembered_does_not_uphold_itself() -> None:
    memory = OcclusionMemory()
    image(memory, 0.0, FIRST_IN_FRONT)
    strengths = []
    for number in range(1, 12):
        graph = image(memory, number / 10, NOTHING_SEEN)
        if graph.pairs:
            strengths.append(graph.pairs[0].strength)
    assert sorted(strengths, reverse=True) == strengths
    assert strengths[-1] < 0.2 < strengths[0]


def test_the_places_of_tracks_may_change() -> None:
    memory = OcclusionMemory()
    image(memory, 0.0, FIRST_IN_FRONT)
    turned = [pair[::-1] for pair in (WEAKLY_OTHER, (ONE, OTHER), TRACKS)]
    assert front(image(memory, 0.1, *turned)) == 1
    assert front(image(memory, 0.1, WEAKLY_OTHER, tracks=(11, 3))) == 1  # 11 is another one


def test_objects_without_a_track_are_not_remembered() -> None:
    memory = OcclusionMemory()
    image(memory, 0.0, FIRST_IN_FRONT, tracks=(-1, -1))
    assert front(image(memory, 0.1, WEAKLY_OTHER, tracks=(-1, -1))) == 1


def test_a_clock_that_jumps_back_forgets() -> None:
    memory = OcclusionMemory()
    image(memory, 100.0, FIRST_IN_FRONT)
    assert front(image(memory, 5.0, WEAKLY_OTHER)) == 1


# The other one is shown with a part of the first, which is completed there.
TAKEN = (ONE & ~block(15, 30, 5, 20), OTHER | block(15, 30, 5, 20))
TAKEN_WHOLES = (ONE, OTHER | block(15, 30, 5, 20))


def test_what_was_seen_of_the_one_in_front_is_given_back() -> None:
    memory = OcclusionMemory()
    for number in range(3):
        image(memory, number / 10, FIRST_IN_FRONT)
    graph = image(memory, 0.3, TAKEN, TAKEN_WHOLES)
    np.testing.assert_array_equal(graph.visible[0].full(), ONE)
    np.testing.assert_array_equal(graph.visible[1].full(), OTHER & ~ONE)
    assert graph.hidings[1].occluders == (0,)
    assert graph.hidings[0].occluders == ()


def test_it_moves_with_the_object() -> None:
    memory = OcclusionMemory()
    away = [np.roll(mask, 4, axis=1) for mask in FIRST_IN_FRONT]
    wholes = [np.roll(mask, 4, axis=1) for mask in (ONE, OTHER)]
    for number in range(3):
        image(memory, number / 10, away, wholes)
    graph = image(memory, 0.3, TAKEN, TAKEN_WHOLES)
    np.testing.assert_array_equal(graph.visible[0].full(), ONE)


def test_a_part_comes_back_whole_where_most_of_it_was_seen() -> None:
    for known, comes_back in ((block(21, 30, 5, 20), True), (block(23, 30, 5, 20), False)):
        memory = OcclusionMemory()
        first = ONE & ~block(15, 30, 5, 20) | known
        for number in range(3):
            image(memory, number / 10, (first, OTHER & ~ONE))
        graph = image(memory, 0.3, TAKEN, TAKEN_WHOLES)
        rest = block(15, 21, 5, 20)  # was not seen either way
        assert (graph.visible[0].full() & rest).any() == comes_back
        assert not comes_back or graph.visible[0].full()[rest].all()


@pytest.mark.parametrize("first", [NOTHING_SEEN, (ONE & ~block(15, 30, 5, 20), OTHER & ~ONE)])
def test_a_completion_that_was_never_seen_gets_nothing(first: Sequence[np.ndarray]) -> None:
    memory = OcclusionMemory()
    for number in range(3):
        image(memory, number / 10, first)
    graph = image(memory, 0.3, TAKEN, TAKEN_WHOLES)
    assert not (graph.visible[0].full() & block(15, 30, 5, 20)).any()


def test_one_that_may_lie_behind_gets_nothing() -> None:
    memory = OcclusionMemory()
    image(memory, 0.0, (ONE & ~BOTH, OTHER & ~BOTH))
    graph = image(memory, 0.1, TAKEN, TAKEN_WHOLES)
    assert not (graph.visible[0].full() & block(15, 30, 5, 20)).any()
