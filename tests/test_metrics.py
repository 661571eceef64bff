# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amodal_ros.errors import InvalidInputError
from amodal_ros.metrics import boundary_f, diagonal_tolerance


def slow_boundary(mask: np.ndarray) -> list[tuple[int, int]]:
    inside = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    around = ((0, 1), (0, -1), (1, 0), (-1, 0))
    return [(y, x) for y, x in inside if any((y + b, x + a) not in inside for a, b in around)]


def slow_f(prediction: np.ndarray, target: np.ndarray, tolerance: float) -> float:
    ours, theirs = slow_boundary(prediction), slow_boundary(target)
    if not ours and not theirs:
        return 1.0
    if not ours or not theirs:
        return 0.0

    def matched(points, others):
        near = [any(math.dist(p, q) <= tolerance for q in others) for p in points]
        return sum(near) / len(near)

    precision, recall = matched(ours, theirs), matched(theirs, ours)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@given(
    seed=st.integers(0, 2**20),
    hw=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    tolerance=st.sampled_from([0.0, 1.0, 1.5, 2.0, 5.0]),
)
@settings(max_examples=150, deadline=None)
def test_agrees_with_all_pairs_of_points(seed, hw, tolerance):
    rng = np.random.default_rng(seed)
    prediction, target = (rng.random(hw) < rng.choice([0, 0.2, 0.8, 1]) for _ in range(2))
    assert boundary_f(prediction, target, tolerance) == pytest.approx(
        slow_f(prediction, target, tolerance)
    )


def square(shift: int) -> np.ndarray:
    mask = np.zeros((60, 80), dtype=bool)
    mask[20:40, 20 + shift : 40 + shift] = True
    return mask


def test_by_hand():
    assert boundary_f(square(0), square(0), 0) == 1
    assert boundary_f(square(2), square(0), 2) == 1
    assert boundary_f(square(30), square(0), 5) == 0
    # shifted by 2 px, exact match wanted: 18 of 76 boundary pixels on each long side coincide
    assert boundary_f(square(2), square(0), 0) == pytest.approx(36 / 76)


def test_the_tolerance_is_a_share_of_the_diagonal():
    assert diagonal_tolerance((30, 40), 0.02) == 1
    assert diagonal_tolerance((30, 40), 0.021) == 2


def test_bad_input_is_refused():
    with pytest.raises(InvalidInputError, match="tolerance_px"):
        boundary_f(square(0), square(0), -1)
    with pytest.raises(InvalidInputError, match="two masks"):
        boundary_f(square(0), square(0).astype(float), 1)
