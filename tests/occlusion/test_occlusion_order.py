# SPDX-License-Identifier: Apache-2.0
"""An order from pairs, and what it does with cycles."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from amodal_ros.occlusion.order import consistent_order, cycles, layers


@dataclass(frozen=True)
class Said:
    """A pair."""

    front: int
    back: int
    strength: float = 10
    mutual: bool = False


def test_without_a_cycle_every_pair_is_kept() -> None:
    pairs = [Said(2, 0), Said(0, 1), Said(2, 1), Said(3, 1)]
    assert consistent_order(5, pairs).all()
    assert cycles(5, pairs) == ()
    assert layers(5, pairs).tolist() == [1, 2, 0, 0, 0]


def test_the_weakest_pair_of_a_cycle_gives_way() -> None:
    pairs = [Said(0, 1, 30), Said(1, 2, 20), Said(2, 0, 5), Said(3, 4), Said(2, 3)]
    assert consistent_order(5, pairs).tolist() == [True, True, False, True, True]
    assert cycles(5, pairs) == ((0, 1, 2),)


def test_two_that_hide_each_other_are_a_cycle() -> None:
    pairs = [Said(1, 3, mutual=True), Said(0, 1)]
    assert cycles(4, pairs) == ((1, 3),)
    assert consistent_order(4, pairs).all()


def test_two_cycles_are_told_apart() -> None:
    pairs = [Said(4, 1, 1), Said(1, 4, 2), Said(0, 3, mutual=True), Said(3, 4)]
    assert cycles(5, pairs) == ((0, 3), (1, 4))
    assert consistent_order(5, pairs).tolist() == [False, True, True, True]


def test_no_pairs() -> None:
    assert (cycles(3, []), len(consistent_order(3, []))) == ((), 0)
    assert layers(3, []).tolist() == [0, 0, 0]


def test_what_is_kept_has_no_cycle_whatever_comes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        pairs = [
            Said(*(int(k) for k in rng.permutation(ends)), int(rng.integers(1, 50)))
            for ends in itertools.combinations(range(7), 2)
            if rng.random() < 0.6
        ]
        followed = consistent_order(7, pairs)
        kept = [pair for pair, keep in zip(pairs, followed, strict=True) if keep]
        depth = layers(7, kept)  # it would not end with a cycle
        assert all(depth[pair.front] < depth[pair.back] for pair in kept)
        in_cycles = {index for group in cycles(7, pairs) for index in group}
        assert all(pair.front in in_cycles for pair in pairs if pair not in kept)
