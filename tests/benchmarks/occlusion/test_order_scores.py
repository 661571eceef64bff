# SPDX-License-Identifier: Apache-2.0
"""The truth of who hides whom, and how an order is scored against it."""

from __future__ import annotations

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.graph import occlusion_graph
from benchmarks.occlusion.scenes import (
    OcclusionScene,
    TruePair,
    true_occluders,
    true_pairs,
)
from benchmarks.occlusion.scores import OrderScore, by_visible_share
from tests.occlusion.drawn import HW, block

FAR = 100.0


def scene(wholes: list[np.ndarray], depths: list[np.ndarray]) -> OcclusionScene:
    """What a camera sees of objects whose depths (H, W) are given."""
    amodal = np.stack(wholes)
    alone = np.where(amodal, np.stack(depths), FAR).astype(np.float32)
    nearest = alone.argmin(axis=0)
    visible = np.stack([whole & (nearest == k) for k, whole in enumerate(amodal)])
    pairs, occluders = true_pairs(amodal, alone), true_occluders(visible, amodal)
    image = np.zeros((*HW, 3), np.uint8)
    return OcclusionScene(image, alone.min(axis=0), visible, amodal, pairs, occluders)


def at(metres: float) -> np.ndarray:
    return np.full(HW, metres)


def row() -> OcclusionScene:
    """The first before the second, that before the third, which shares a pixel with the fourth."""
    fourth = block(49, 60, 34, 40) | block(55, 60, 0, 40)
    wholes = [block(0, 20), block(10, 40), block(30, 50), fourth]
    return scene(wholes, [at(1.0), at(2.0), at(3.0), at(4.0)])


def test_the_nearer_one_of_each_pair_and_who_is_seen_before_what() -> None:
    found = row()
    assert found.pairs == (TruePair(0, 1, 300, False), TruePair(1, 2, 300, False))
    assert found.occluders == (frozenset(), {0}, {1}, frozenset())


def test_what_lies_beneath_a_third_has_an_order_too() -> None:
    found = scene([block(0, 30), block(20, 50), block(15, 35)], [at(3.0), at(2.0), at(1.0)])
    assert TruePair(1, 0, 300, False) in found.pairs
    assert found.occluders[0] == {2}


def test_woven_pairs() -> None:
    slope = np.tile(np.linspace(1.0, 3.0, HW[1]), (HW[0], 1))
    (pair,) = scene([block(0, 60), block(0, 60, 10, 20)], [slope, at(1.6)]).pairs
    assert pair.woven
    assert (pair.front, pair.back) == (1, 0)


def masks(found: OcclusionScene) -> list[list[CroppedMask]]:
    return [[CroppedMask.of(one) for one in all_] for all_ in (found.visible, found.amodal)]


def test_true_masks_have_the_true_order() -> None:
    score = OrderScore()
    score.add(row(), occlusion_graph(*masks(row())))
    figures = score.as_dict()
    assert (figures["order_accuracy"], figures["pairs"], figures["undecided"]) == (100.0, 2, 0)
    assert (figures["occluder_recall"], figures["occluder_precision"]) == (100.0, 100.0)
    assert figures["mark_met"]


def test_a_wrong_order_counts() -> None:
    """Two objects say that they are seen where they are not."""
    found = row()
    visible, amodal = masks(found)
    visible[1], visible[0] = amodal[1], amodal[0] - amodal[1]
    score = OrderScore()
    score.add(found, occlusion_graph(visible, amodal))
    figures = score.as_dict()
    assert (figures["order_accuracy"], figures["occluder_recall"]) == (50.0, 50.0)
    assert not figures["mark_met"]


def test_who_names_nobody_recalls_nobody() -> None:
    found = row()
    score = OrderScore()
    score.add(found, occlusion_graph(masks(found)[0], masks(found)[0]))
    figures = score.as_dict()
    assert (figures["occluder_recall"], figures["occluder_precision"]) == (0.0, None)


def test_the_baseline_goes_by_what_is_seen() -> None:
    """A third object hides most of the one in front."""
    found = scene([block(0, 30), block(20, 60), block(0, 24)], [at(2.0), at(3.0), at(1.0)])
    score = OrderScore()
    score.add_order(found, by_visible_share(*masks(found)))
    assert (score.pairs, score.right) == (3, 2)
    assert score.as_dict()["occluder_recall"] is None
