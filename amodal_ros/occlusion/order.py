# SPDX-License-Identifier: Apache-2.0
"""One order of all objects from what pairs say, and the cycles that no order can satisfy.

Pairs that form no cycle are kept as they are. Within a cycle the strongest pairs are kept, one
after another, as long as they contradict none kept before (Tideman's ranked pairs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Order:
    """Of N objects.

    Attributes:
        kept: which of the pairs it follows, (P,) bool.
        cycles: objects of each group that lie in front of one another, by index.
    """

    kept: np.ndarray
    cycles: tuple[tuple[int, ...], ...]


def consistent_order(count: int, pairs: Sequence[Ordered]) -> Order:
    """The order of `count` objects that follows as many and as sure pairs as it can."""
    kept = np.ones(len(pairs), bool)
    groups = _cycles(count, pairs)
    for group in groups:
        inside = [k for k, pair in enumerate(pairs) if pair.front in group and pair.back in group]
        kept[inside] = False
        behind: dict[int, set[int]] = {index: {index} for index in group}
        for k in sorted(inside, key=lambda k: pairs[k].strength, reverse=True):
            front, back = pairs[k].front, pairs[k].back
            if front in behind[back]:
                continue
            kept[k] = True
            for reached in behind.values():
                if front in reached:
                    reached |= behind[back]
    return Order(kept, tuple(tuple(sorted(group)) for group in groups))


def layers(count: int, pairs: Sequence[Ordered]) -> np.ndarray:
    """(N,) int: 0 where nothing lies in front, else 1 more than the deepest object that does.

    Args:
        count: number N of objects.
        pairs: without a cycle.
    """
    depth = np.zeros(count, np.int64)
    fronts = np.array([pair.front for pair in pairs], np.intp)
    backs = np.array([pair.back for pair in pairs], np.intp)
    while True:
        deeper = depth.copy()
        np.maximum.at(deeper, backs, depth[fronts] + 1)
        if (deeper == depth).all():
            return depth
        depth = deeper


def _cycles(count: int, pairs: Sequence[Ordered]) -> list[frozenset[int]]:
    """Groups of objects of which each is in front of each other, by way of others too."""
    edges = [(pair.front, pair.back) for pair in pairs]
    edges += [(pair.back, pair.front) for pair in pairs if pair.mutual]
    if not edges:
        return []
    fronts, backs = np.array(edges).T
    graph = coo_matrix((np.ones(len(edges), np.int8), (fronts, backs)), (count, count))
    number, labels = connected_components(graph, connection="strong")
    if number == count:
        return []
    sizes = np.bincount(labels)
    found = [
        frozenset(np.flatnonzero(labels == one).tolist()) for one in np.flatnonzero(sizes > 1)
    ]
    return sorted(found, key=min)
