# SPDX-License-Identifier: Apache-2.0
"""How right an order of objects is, and who is named as an occluder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.graph import OcclusionGraph
from benchmarks.occlusion.scenes import OcclusionScene, TruePair

MARK = 0.97  # of the pairs


@dataclass
class OrderScore:
    """Counts over scenes.

    Attributes:
        pairs: true ones.
        right: of them put in the true order.
        undecided: of them without an order.
        occluders: true ones, of all objects.
        recalled: of them named.
        named: occluders that were named.
        cycles: reported.
        contradictions: reported.
    """

    pairs: int = 0
    right: int = 0
    undecided: int = 0
    occluders: int = 0
    recalled: int = 0
    named: int = 0
    cycles: int = 0
    contradictions: int = 0

    def add(self, scene: OcclusionScene, graph: OcclusionGraph) -> None:
        """Count a scene's graph, whose objects are in the scene's order."""
        fronts = {frozenset((pair.front, pair.back)): pair.front for pair in graph.pairs}
        self.add_order(scene, lambda pair: fronts.get(frozenset((pair.front, pair.back))))
        for true, hiding in zip(scene.occluders, graph.hidings, strict=True):
            named = {k for k, share in zip(hiding.occluders, hiding.shares, strict=True) if share}
            self.occluders += len(true)
            self.recalled += len(true & named)
            self.named += len(named)
        self.cycles += len(graph.cycles)
        self.contradictions += len(graph.contradictions)

    def add_order(self, scene: OcclusionScene, front_of: Callable[[TruePair], int | None]) -> None:
        """Count an order alone; `front_of`: index of the object in front, None: undecided."""
        for pair in scene.pairs:
            front = front_of(pair)
            self.pairs += 1
            self.right += front == pair.front
            self.undecided += front is None

    def as_dict(self) -> dict[str, Any]:
        """Shares in percent beside their counts; None where there is nothing to count."""
        return {
            "order_accuracy": _percent(self.right, self.pairs),
            "pairs": self.pairs,
            "undecided": self.undecided,
            "occluder_recall": _percent(self.recalled, self.occluders),
            "occluder_precision": _percent(self.recalled, self.named),
            "occluders": self.occluders,
            "cycles": self.cycles,
            "contradictions": self.contradictions,
            "mark_met": self.right >= MARK * self.pairs,
        }


def by_visible_share(
    visible: Sequence[CroppedMask], amodal: Sequence[CroppedMask]
) -> Callable[[TruePair], int | None]:
    """The baseline: of two objects the one with the smaller visible share lies behind."""
    shares = [seen.area / max(whole.area, 1) for seen, whole in zip(visible, amodal, strict=True)]

    def front_of(pair: TruePair) -> int | None:
        front, back = sorted((pair.front, pair.back), key=lambda k: shares[k], reverse=True)
        return None if np.isclose(shares[front], shares[back], atol=1e-9) else front

    return front_of


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None
