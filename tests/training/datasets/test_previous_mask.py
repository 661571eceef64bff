# SPDX-License-Identifier: Apache-2.0
"""Masks of an earlier frame: late, moved, grown, incomplete, and sometimes another object's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amodal_ros.image.masks import dilate_mask, mask_iou
from training.datasets.previous_mask import PreviousMaskConfig, previous_mask

HW = (120, 160)
STILL = PreviousMaskConfig(
    shift_std=0.0,
    turn_std=0.0,
    scale_std=0.0,
    border_std=0.0,
    grow=(0.0, 0.0),
    hidden_missing=0.0,
    hidden_wrong=0.0,
    part_missing=0.0,
    wrong=0.0,
)


def draw(masks, seed: int = 0, others: np.ndarray | None = None, **changes) -> np.ndarray:
    amodal, visible = masks
    config = replace(STILL, **changes)
    return previous_mask(amodal, visible, others, np.random.default_rng(seed), config).prior


@pytest.fixture
def masks(layout) -> tuple[np.ndarray, np.ndarray]:
    return layout.rectangle(40, 30, 110, 90, HW), layout.rectangle(40, 30, 80, 90, HW)


def test_nothing_moves_where_nothing_is_to_move(masks):
    np.testing.assert_array_equal(draw(masks), masks[0])


def test_it_is_grown_as_the_tracker_grows_it(masks):
    side = np.sqrt(np.count_nonzero(masks[0]))
    grown = draw(masks, grow=(0.1, 0.1))
    np.testing.assert_array_equal(grown, dilate_mask(masks[0], 0.1 * side))


@pytest.mark.parametrize("name", ["shift_std", "turn_std", "scale_std", "border_std"])
def test_each_motion_moves_it_more_the_later_it_is(masks, name):
    strength = 2 * getattr(PreviousMaskConfig(), name)
    overlaps = [
        np.mean(
            [
                mask_iou(draw(masks, seed, pace=(pace, pace), **{name: strength}), masks[0])
                for seed in range(15)
            ]
        )
        for pace in (0.3, 3.0)
    ]
    assert overlaps[1] < overlaps[0] - 0.05
    assert overlaps[0] > 0.85


def test_hidden_parts_are_missed_or_guessed_wrongly(masks):
    amodal, visible = masks
    np.testing.assert_array_equal(draw(masks, hidden_missing=1.0), visible)
    moving = {"scale_std": 0.04, "shift_std": 0.06, "hidden_wrong": 1.0}
    amodal_still = {"shift_std": 0.0}
    guesses = [
        previous_mask(amodal, visible, None, np.random.default_rng(seed), replace(STILL, **moving))
        for seed in range(8)
    ]
    assert any(np.count_nonzero(one.prior & ~amodal) > 50 for one in guesses)
    assert all(mask_iou(one.seen, visible) > 0.3 for one in guesses)
    parts = [draw(masks, seed, part_missing=1.0, **amodal_still) for seed in range(8)]
    shares = [np.count_nonzero(part) / np.count_nonzero(amodal) for part in parts]
    assert all(not (part & ~amodal).any() for part in parts)
    assert 0.45 <= min(shares) <= max(shares) <= 0.92


def test_a_wrong_mask_is_the_nearest_neighbours_or_lies_elsewhere(masks, layout):
    near, far = layout.rectangle(112, 40, 130, 80, HW), layout.rectangle(0, 0, 10, 10, HW)
    np.testing.assert_array_equal(draw(masks, others=near | far, wrong=1.0), near)
    for seed in range(5):
        assert mask_iou(draw(masks, seed, wrong=1.0), masks[0]) < 0.55


def test_equal_seeds_give_equal_masks(masks):
    amodal, visible = masks
    first, second = (
        [
            previous_mask(amodal, visible, None, np.random.default_rng(n), PreviousMaskConfig())
            for n in range(20)
        ]
        for _ in range(2)
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.prior, b.prior)
        np.testing.assert_array_equal(a.seen, b.seen)
