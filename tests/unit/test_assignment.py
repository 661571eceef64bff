# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amodal_ros.assignment import assign


def best_sum(gains: np.ndarray) -> float:
    """The greatest sum, by trying everything."""
    if gains.shape[0] > gains.shape[1]:
        gains = gains.T
    rows = range(len(gains))
    return max(
        sum(gains[row, column] for row, column in zip(rows, columns, strict=True))
        for columns in permutations(range(gains.shape[1]), len(gains))
    )


@given(
    st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.6])
)
def test_no_other_assignment_is_better(n: int, m: int, seed: int, zeros: float) -> None:
    rng = np.random.default_rng(seed)
    gains = rng.random((n, m)) * (rng.random((n, m)) >= zeros)
    pairs = assign(gains)
    assert len(pairs) == min(n, m)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert sum(gains[pair] for pair in pairs) == pytest.approx(best_sum(gains))


def test_a_hidden_permutation_is_found() -> None:
    order = np.random.default_rng(0).permutation(64)
    gains = np.random.default_rng(1).random((64, 64)) * 0.01
    gains[np.arange(64), order] += 1
    assert assign(gains) == list(enumerate(order))


def test_nothing_to_assign() -> None:
    assert assign(np.zeros((0, 3))) == []
    assert assign(np.zeros((3, 0))) == []
