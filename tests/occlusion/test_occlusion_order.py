# SPDX-License-Identifier: Apache-2.0
"""An order from pairs, and what it does with cycles."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from amodal_ros.occlusion.order import consistent_order, layers


@dataclass(frozen=True)
class Said:
    """A pair."""

    front: int
    back: int
    strength: float = 10
    mutual: bool = False


def test_without_a_cycle_every_pair_is_kept() -> None:
    pairs = [Said(2, 0), Said(0, 1), Said(2, 1), Said(3, 1)]
    order = consistent_order(5, pairs)
    assert order.kept.all()
    assert order.cycles == ()
    assert layers(5, pairs).tolist() == [1, 2, 0, 0, 0]


def test_the_weakest_pair_of_a_cycle_gives_way() -> None:
    pairs = [Said(0, 1, 30), Said(1, 2, 20), Said(2, 0, 5), Said(3, 4), Said(2, 3)]
    order = consistent_order(5, pairs)
    assert order.kept.tolist() == [True, True, False, True, True]
    assert order.cycles == ((0, 1, 2),)


def test_two_that_hide_each_other_are_a_cycle() -> None:
    order = consistent_order(4, [Said(1, 3, mutual=True), Said(0, 1)])
    assert order.cycles == ((1, 3),)
    assert order.kept.all()


def test_no_pairs() -> None:
    order = consistent_order(3, [])
    assert (order.cycles, len(order.kept)) == ((), 0)
    assert layers(3, []).tolist() == [0, 0, 0]


def test_what_is_kept_has_no_cycle_whatever_comes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        pairs = [
            Said(*(int(k) for k in rng.permutation(ends)), int(rng.integers(1, 50)))
            for ends in itertools.combinations(range(7), 2)
            if rng.random() < 0.6
        ]
        order = consistent_order(7, pairs)
        kept = [pair for pair, keep in zip(pairs, order.kept, strict=True) if keep]
        depth = layers(7, kept)  # it would not end with a cycle
        assert all(depth[pair.front] < depth[pair.back] for pair in kept)
        in_cycles = {index for group in order.cycles for index in group}
        assert all(pair.front in in_cycles for pair in pairs if pair not in kept)
