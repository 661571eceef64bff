# SPDX-License-Identifier: Apache-2.0
"""Who hides whom, on drawn scenes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.graph import occlusion_graph
from tests.occlusion.drawn import HW, blob, block, graph_of

EMPTY = np.zeros(HW, bool)


def test_two_objects_and_a_hand() -> None:
    front, back, hand = block(0, 20), block(10, 40), block(30, 60)
    graph = graph_of((front, front), (back & ~front & ~hand, back))
    first, second = graph.hidings
    assert (first.occluders, first.shares, first.unknown_share, first.layer) == ((), (), 0, 0)
    assert second.occluders == (0,)
    assert second.shares == (0.5,)
    assert second.unknown_share == 0.5
    assert second.layer == 1
    assert (graph.cycles, graph.contradictions) == ((), ())


def test_an_object_alone_is_hidden_by_nothing_known() -> None:
    whole = block(10, 40)
    graph = graph_of((block(10, 30), whole), (EMPTY, EMPTY), (block(50, 60), block(50, 60)))
    hidden, empty, seen = graph.hidings
    assert (hidden.occluders, hidden.unknown_share, hidden.layer) == ((), 1.0, 0)
    assert (empty.unknown_share, seen.unknown_share) == (0.0, 0.0)
    assert graph.visible[1].is_empty


def test_the_foremost_covers_and_layers_count_all_that_lie_above() -> None:
    """C over B over A: where C and B both cover A, it is C that covers it."""
    a, b, c = block(0, 40), block(10, 50), block(20, 60)
    graph = graph_of((a & ~b & ~c, a), (b & ~c, b), (c, c))
    bottom, middle, _ = graph.hidings
    assert bottom.occluders == (2, 1)
    assert bottom.shares == pytest.approx((2 / 3, 1 / 3))
    assert [one.layer for one in graph.hidings] == [2, 1, 0]
    assert middle.shares == (1.0,)


def test_what_lies_wholly_under_another_still_lies_in_front() -> None:
    """The part of B above A is itself hidden by C: B covers nothing of A as the foremost."""
    a, b, c = block(0, 30), block(20, 50), block(20, 32)
    depth = np.full(HW, 1.0, np.float32)
    depth[b] = 0.8
    depth[c] = 0.6
    graph = graph_of((a & ~b, a), (b & ~c, b), (c, c), depth_m=depth)
    assert graph.hidings[0].occluders == (2, 1)
    assert graph.hidings[0].shares == (1.0, 0.0)
    assert graph.hidings[0].layer == 2


def test_a_pixel_belongs_to_the_one_in_front() -> None:
    front, back = block(0, 20), block(10, 40)
    graph = graph_of((back & ~block(0, 14), back), (front, front))  # it claims four columns
    seen = np.stack([mask.full() for mask in graph.visible]).sum(axis=0)
    assert seen.max() == 1
    np.testing.assert_array_equal(graph.visible[1].full(), front)
    np.testing.assert_array_equal(graph.visible[0].full(), back & ~front)
    assert graph.hidings[0].shares == (1.0,)


def test_what_is_seen_lies_on_the_whole_object() -> None:
    """Of an object alone, and of one that meets another."""
    ring = block(0, 20) & ~block(5, 10, 10, 20)
    others = block(18, 30)
    for objects in ([(block(0, 20), ring)], [(block(0, 20), ring), (others, others)]):
        np.testing.assert_array_equal(graph_of(*objects).visible[0].full() & ~ring, EMPTY)


def test_no_two_share_a_pixel_whatever_comes() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        wholes = [blob(rng, HW) for _ in range(6)]
        wholes.append(wholes[0])
        seen = [whole & blob(rng, HW) for whole in wholes]
        seen[-1] = seen[0]  # a second mask of the same object
        graph = graph_of(*zip(seen, wholes, strict=True))
        after = np.stack([mask.full() for mask in graph.visible])
        assert after.sum(axis=0).max() <= 1
        np.testing.assert_array_equal(after.any(axis=0), np.any(seen, axis=0))
        for hiding, mask, whole in zip(graph.hidings, after, wholes, strict=True):
            total = sum(hiding.shares) + hiding.unknown_share
            hidden = (whole & ~mask).sum() >= max(0.01 * whole.sum(), 1)
            assert total == pytest.approx(float(hidden))


def test_what_lies_on_a_thing_is_smaller() -> None:
    plate, food = block(0, 40), block(10, 20, 10, 20)
    graph = graph_of((plate, plate), (food, food))
    assert graph.hidings[0].occluders == (1,)
    np.testing.assert_array_equal(graph.visible[0].full(), plate & ~food)


def test_a_seam_hides_nothing() -> None:
    front, back = block(0, 20), block(19, 60, 0, 35)
    assert graph_of((front, front), (back & ~front, back)).hidings[1].occluders == (0,)
    back = block(19, 60, 0, 35) & ~block(19, 20, 5, 25)  # 10 of 1425 pixels
    graph = graph_of((front, front), (back & ~front, back))
    assert graph.hidings[1].occluders == ()
    assert graph.hidings[1].unknown_share == 0.0
    assert [(pair.front, pair.back) for pair in graph.pairs] == [(0, 1)]


def test_a_spoon_in_its_cup_is_a_cycle_of_two() -> None:
    cup, spoon = block(0, 30, 10, 30), block(10, 16, 0, 40)
    behind, before = spoon & block(0, 60, 0, 18), spoon & block(0, 60, 18, 40)
    graph = graph_of((cup & ~behind, cup), (spoon & ~(before & cup), spoon))
    assert graph.cycles == ((0, 1),)
    assert graph.hidings[0].occluders == (1,)
    assert graph.hidings[1].occluders == (0,)
    assert sorted(hiding.layer for hiding in graph.hidings) == [0, 1]


def test_woven_things_are_a_cycle_whose_weakest_pair_gives_way() -> None:
    a, b, c = block(0, 40, 0, 10), block(30, 40, 0, 40), block(0, 40, 25, 40)
    left = block(0, 12, 0, 40)
    c, a = c | left, a  # c passes over a at the left, a over b at the right, b over c below
    graph = graph_of((a & ~left, a), (b & ~a, b), (c & ~(b & block(0, 60, 25, 40)), c))
    fronts = {(pair.front, pair.back) for pair in graph.pairs}
    assert fronts == {(0, 1), (1, 2), (2, 0)}
    assert graph.cycles == ((0, 1, 2),)
    # That a lies over b is said by 100 pixels, the others by 120 and 150.
    assert [hiding.layer for hiding in graph.hidings] == [2, 0, 1]
    assert all(hiding.occluders for hiding in graph.hidings)


def test_depth_decides_where_masks_do_not() -> None:
    """A hand lies over the overlap of two objects."""
    a, b, hand = block(0, 30), block(20, 50), block(18, 32)
    depth = np.full(HW, 1.0, np.float32)
    depth[:, :18], depth[:, 32:] = 0.7, 0.6
    assert graph_of((a & ~hand, a), (b & ~hand, b)).pairs == ()
    graph = graph_of((a & ~hand, a), (b & ~hand, b), depth_m=depth)
    assert [(pair.front, pair.back) for pair in graph.pairs] == [(1, 0)]
    assert graph.hidings[0].occluders == (1,)
    depth[:, 32:] = 0.695  # within the noise
    assert graph_of((a & ~hand, a), (b & ~hand, b), depth_m=depth).pairs == ()
    depth[:] = np.nan
    assert graph_of((a & ~hand, a), (b & ~hand, b), depth_m=depth).pairs == ()


def test_masks_and_depth_that_contradict_are_reported() -> None:
    front, back = block(0, 20), block(10, 40)
    depth = np.full(HW, 0.5, np.float32)
    depth[front] = 1.0
    graph = graph_of((back & ~front, back), (front, front), depth_m=depth)
    assert graph.contradictions == ((1, 0),)
    assert [(pair.front, pair.back) for pair in graph.pairs] == [(0, 1)]  # depth decides
    assert graph.hidings[0].unknown_share == 1.0
    depth[front] = 0.3
    assert graph_of((back & ~front, back), (front, front), depth_m=depth).contradictions == ()


def test_what_does_not_fit_together_is_refused() -> None:
    mask, other = CroppedMask.of(block(0, 5)), CroppedMask.of(np.ones((4, 4), bool))
    with pytest.raises(InvalidInputError, match="as many visible as amodal masks, got 1 and 2"):
        occlusion_graph([mask], [mask, mask])
    with pytest.raises(InvalidInputError, match=r"one size, got \[\(4, 4\), \(40, 60\)\]"):
        occlusion_graph([mask, other], [mask, other])
    with pytest.raises(InvalidInputError, match="one size"):
        occlusion_graph([mask], [mask], np.ones((4, 4), np.float32))


def test_no_object_at_all() -> None:
    graph = occlusion_graph([], [])
    assert len(graph) == 0
    assert (graph.visible, graph.cycles) == ((), ())


def test_the_lower_foot_is_nearer_where_masks_tell_little() -> None:
    """Something lies over the overlap; or what is seen of it is no more than a seam."""
    far, near, hand = block(0, 30, 0, 25), block(20, 50, 10, 40), block(18, 32)
    seen = (far & ~hand, far), (near & ~hand, near)
    assert [(pair.front, pair.back) for pair in graph_of(*seen).pairs] == [(1, 0)]
    assert graph_of(*seen, upright=False).pairs == ()
    seam = near & block(20, 30, 10, 11)
    seen = (far & ~near | seam, far), (near & ~far, near)
    assert [(pair.front, pair.back) for pair in graph_of(*seen).pairs] == [(1, 0)]
    assert [(pair.front, pair.back) for pair in graph_of(*seen, upright=False).pairs] == [(0, 1)]
    seen = (far, far), (near & ~far, near)  # what is seen well counts more
    assert [(pair.front, pair.back) for pair in graph_of(*seen).pairs] == [(0, 1)]


def test_of_a_thing_in_anothers_outline_feet_tell_nothing() -> None:
    """A bowl in a pan: its foot is the higher one. Behind the pan it would be seen less."""
    pan, bowl, both = block(0, 60), block(20, 40, 8, 20), block(20, 40, 8, 14)
    seen = (pan & ~bowl | both, pan), (bowl, bowl)
    assert [(pair.front, pair.back) for pair in graph_of(*seen).pairs] == [(1, 0)]
    under = block(20, 40, 18, 40)  # one that reaches out of it, and lower, lies before it
    seen = (pan & ~under, pan), (under & block(20, 40, 36, 40), under)
    assert [(pair.front, pair.back) for pair in graph_of(*seen).pairs] == [(1, 0)]
    hidden = block(20, 40, 8, 20)
    seen = (pan, pan), (hidden & block(20, 22, 8, 10), hidden)
    assert [(pair.front, pair.back) for pair in graph_of(*seen).pairs] == [(0, 1)]
    # Where masks are silent, feet tell all the same.
    seen = (pan & ~bowl, pan), (bowl & ~bowl, bowl)
    assert [(pair.front, pair.back) for pair in graph_of(*seen).pairs] == [(0, 1)]
