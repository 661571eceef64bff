# SPDX-License-Identifier: Apache-2.0
"""Positions: overlap as wanted, contact without overlap, distance."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.taos.blend import place_mask
from training.taos.placement import (
    coverage_map,
    covered_share,
    place_apart,
    place_touching,
    place_with_overlap,
)


@pytest.fixture
def target() -> np.ndarray:
    mask = np.zeros((240, 320), np.uint8)
    cv2.ellipse(mask, (150, 120), (60, 40), 20, 0, 360, 1, -1)
    return mask.astype(bool)


def disc(radius: int) -> np.ndarray:
    mask = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    cv2.circle(mask, (radius, radius), radius, 1, -1)
    return mask.astype(bool)


def test_coverage_map_agrees_with_counting(target: np.ndarray) -> None:
    patch = disc(35)
    coverage = coverage_map(target, patch)
    whole = int(target.sum())
    rng = np.random.default_rng(0)
    for _ in range(60):
        row, column = (int(rng.integers(n)) for n in coverage.share.shape)
        x, y = coverage.position(row, column)
        exact = (target & place_mask(patch, x, y, target.shape)).sum() / whole
        assert coverage.share[row, column] == pytest.approx(exact, abs=0.05)
        assert covered_share(target, patch, x, y, whole) == pytest.approx(exact)


@pytest.mark.parametrize("wanted", [0.1, 0.3, 0.5, 0.7])
def test_overlap_comes_out_as_wanted(target: np.ndarray, wanted: float) -> None:
    patch = disc(60)
    positions = set()
    for seed in range(12):
        found = place_with_overlap(np.random.default_rng(seed), target, patch, wanted, (0.05, 0.8))
        assert found is not None
        x, y, share = found
        assert share == pytest.approx(wanted, abs=0.06)
        positions.add((x, y))
    assert len(positions) >= 10  # a random place, not always the same


def test_a_small_patch_covers_what_it_can(target: np.ndarray) -> None:
    patch = disc(15)
    possible = patch.sum() / target.sum()
    found = place_with_overlap(np.random.default_rng(0), target, patch, 0.6, (0.02, 0.7))
    assert found is not None
    assert 0.7 * possible < found[2] <= possible


def test_no_place_within_the_limits(target: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    assert place_with_overlap(rng, target, disc(10), 0.6, (0.5, 0.7)) is None
    assert place_with_overlap(rng, np.zeros_like(target), disc(10), 0.6, (0.5, 0.7)) is None


def test_touching_touches_and_covers_nothing(target: np.ndarray) -> None:
    patch = disc(30)
    found = 0
    for seed in range(20):
        place = place_touching(np.random.default_rng(seed), target, patch)
        if place is None:
            continue
        found += 1
        put = place_mask(patch, *place, target.shape)
        assert not (put & target).any()
        near = cv2.dilate(put.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert (near & target).any()
    assert found >= 15


def test_apart_keeps_its_distance(target: np.ndarray) -> None:
    patch = disc(20)
    near = cv2.dilate(target.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    for seed in range(10):
        place = place_apart(np.random.default_rng(seed), target, patch)
        assert place is not None
        assert not (place_mask(patch, *place, target.shape) & near).any()
        assert place_mask(patch, *place, target.shape).sum() == patch.sum()
    assert place_apart(np.random.default_rng(0), target, np.ones((300, 300), bool)) is None
