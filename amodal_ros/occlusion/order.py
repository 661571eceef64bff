# SPDX-License-Identifier: Apache-2.0
"""One order of all objects from what pairs say, and the cycles that no order can satisfy.

Pairs that form no cycle are kept as they are. Within a cycle the strongest pairs are kept, one
after another, as long as they contradict none kept before (Tideman's ranked pairs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


class Ordered(Protocol):
    """Says that one object lies in front of another."""

    @property
    def front(self) -> int:
        """Index of the object in front."""

    @property
    def back(self) -> int:
        """Index of the object behind."""

    @property
    def mutual(self) -> bool:
        """Whether the contrary holds too, though less."""

    @property
    def strength(self) -> float:
        """How sure it is, to compare pairs."""


def consistent_order(count: int, pairs: Sequence[Ordered]) -> np.ndarray:
    """Which pairs an order of `count` objects follows: as many and as sure ones as it can.

    Returns:
        (P,) bool.
    """
    kept = np.ones(len(pairs), bool)
    for group in cycles(count, pairs):
        behind = {index: {index} for index in group}
        inside = [k for k, pair in enumerate(pairs) if {pair.front, pair.back} <= behind.keys()]
        kept[inside] = False
        for k in sorted(inside, key=lambda k: pairs[k].strength, reverse=True):
            front, back = pairs[k].front, pairs[k].back
            if front in behind[back]:
                continue
            kept[k] = True
            for reached in behind.values():
                if front in reached:
                    reached |= behind[back]
    return kept


def layers(count: int, pairs: Sequence[Ordered]) -> np.ndarray:
    """(N,) int: 0 where nothing lies in front, else 1 more than the deepest object that does.

    Args:
        count: number N of objects.
        pairs: without a cycle.
    """
    depth, deeper = [0] * count, True
    while deeper:
        deeper = False
        for pair in pairs:
            if depth[pair.back] <= depth[pair.front]:
                depth[pair.back], deeper = depth[pair.front] + 1, True
    return np.array(depth, np.int64)


def cycles(count: int, pairs: Sequence[Ordered]) -> tuple[tuple[int, ...], ...]:
    """Groups of objects of which each lies in front of each other, by way of others too."""
    edges = [(pair.front, pair.back) for pair in pairs]
    edges += [(pair.back, pair.front) for pair in pairs if pair.mutual]
    if not edges:
        return ()
    fronts, backs = np.array(edges).T
    graph = coo_matrix((np.ones(len(edges), np.int8), (fronts, backs)), (count, count))
    number, labels = connected_components(graph, connection="strong")
    if number == count:
        return ()
    sizes = np.bincount(labels)
    found = [np.flatnonzero(labels == one).tolist() for one in np.flatnonzero(sizes > 1)]
    return tuple(sorted(map(tuple, found)))
