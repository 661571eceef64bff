# SPDX-License-Identifier: Apache-2.0
"""What earlier images showed of two objects outweighs masks that are wrong once, not for good."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.graph import OcclusionGraph, occlusion_graph
from amodal_ros.occlusion.order_memory import OrderMemory
from tests.occlusion.drawn import block

# Of two objects on one foot line, which says nothing, each in front of the other in turn.
ONE, OTHER = block(5, 30, 5, 35), block(20, 50, 5, 35)
TRACKS = (7, 3)


def image(memory: OrderMemory, stamp_s: float, one_is_seen: bool) -> OcclusionGraph:
    """The graph of an image in which one of the two is seen in their overlap."""
    seen = (ONE, OTHER & ~ONE) if one_is_seen else (ONE & ~OTHER, OTHER)
    lately = memory.witness(TRACKS, stamp_s)
    graph = occlusion_graph(
        [CroppedMask.of(mask) for mask in seen],
        [CroppedMask.of(mask) for mask in (ONE, OTHER)],
        upright=False,
        lately=lately,
    )
    memory.learn(TRACKS, graph.pairs)
    return graph


def front(graph: OcclusionGraph) -> int:
    (pair,) = graph.pairs
    return pair.front


def weakly(memory: OrderMemory, stamp_s: float) -> OcclusionGraph:
    """An image in which both claim their overlap, and a strip of it is the other's alone."""
    strip = OTHER & block(26, 30, 5, 35)
    lately = memory.witness(TRACKS, stamp_s)
    return occlusion_graph(
        [CroppedMask.of(mask) for mask in (ONE & ~strip, OTHER)],
        [CroppedMask.of(mask) for mask in (ONE, OTHER)],
        upright=False,
        lately=lately,
    )


def test_masks_that_are_wrong_once_do_not_turn_the_order() -> None:
    memory = OrderMemory()
    assert front(weakly(OrderMemory(), 0.0)) == 1  # by itself it says the contrary
    for number in range(3):
        assert front(image(memory, number / 10, one_is_seen=True)) == 0
    graph = weakly(memory, 0.3)
    assert front(graph) == 0
    assert graph.pairs[0].evidence < 0 < graph.pairs[0].strength


def test_an_order_that_has_really_turned_is_taken_up() -> None:
    memory = OrderMemory()
    for number in range(20):
        image(memory, number / 10, one_is_seen=True)
    fronts = [front(image(memory, 2 + number / 10, one_is_seen=False)) for number in range(10)]
    assert fronts[-1] == 1
    assert sorted(fronts) == fronts  # it turns once


def test_what_lies_long_ago_says_nothing() -> None:
    memory = OrderMemory()
    image(memory, 0.0, one_is_seen=True)
    assert memory.witness(TRACKS, 0.1)[0, 1] > 0.5
    assert memory.witness(TRACKS, 3.0)[0, 1] < 0.01
    image(memory, 30.0, one_is_seen=False)
    assert front(weakly(memory, 30.1)) == 1


def test_the_places_of_tracks_may_change_and_others_know_nothing() -> None:
    memory = OrderMemory()
    image(memory, 0.0, one_is_seen=True)
    lately = memory.witness((3, 11, 7), 0.0)
    assert lately[2, 0] == pytest.approx(-lately[0, 2])
    assert lately[2, 0] > 0.5
    assert not lately[1].any()


def test_objects_without_a_track_are_not_remembered() -> None:
    memory = OrderMemory()
    memory.witness((-1, -1), 0.0)
    graph = occlusion_graph(
        [CroppedMask.of(mask) for mask in (ONE, OTHER & ~ONE)],
        [CroppedMask.of(mask) for mask in (ONE, OTHER)],
    )
    memory.learn((-1, -1), graph.pairs)
    assert not memory.witness((-1, -1), 0.1).any()


def test_a_clock_that_jumps_back_forgets() -> None:
    memory = OrderMemory()
    image(memory, 100.0, one_is_seen=True)
    assert not memory.witness(TRACKS, 5.0).any()


def test_what_was_remembered_does_not_uphold_itself() -> None:
    memory = OrderMemory()
    image(memory, 0.0, one_is_seen=True)
    shown = [float(memory.witness(TRACKS, 0.1 * k)[0, 1]) for k in range(1, 12)]
    for number in range(1, 12):  # images in which nothing of either is seen where they overlap
        lately = memory.witness(TRACKS, 0.1 * number)
        hidden = [CroppedMask.of(mask & ~(ONE & OTHER)) for mask in (ONE, OTHER)]
        whole = [CroppedMask.of(mask) for mask in (ONE, OTHER)]
        graph = occlusion_graph(hidden, whole, upright=False, lately=lately)
        memory.learn(TRACKS, graph.pairs)
    assert abs(float(memory.witness(TRACKS, 1.1)[0, 1])) <= shown[-1] + 1e-9
    np.testing.assert_array_less(shown[1:], shown[:-1])
