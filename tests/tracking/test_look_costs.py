# SPDX-License-Identifier: Apache-2.0
"""Looks of two sizes are measured apart, also where one call holds both."""

from __future__ import annotations

import pytest

from amodal_ros.tracking.look_costs import LookCosts


def test_each_size_has_its_own_mean() -> None:
    costs = LookCosts()
    assert costs.total_s(2, 3) == 0.0
    costs.measured(0.2, 2, 0)
    assert (costs.full_s, costs.small_s) == (0.1, 0.1)  # until one was measured
    costs.measured(0.15, 0, 3)
    assert (costs.full_s, costs.small_s) == pytest.approx((0.1, 0.05))
    costs.measured(0.2, 1, 0)  # an outlier counts a third
    assert (costs.full_s, costs.small_s) == pytest.approx((0.13, 0.05))
    assert costs.total_s(1, 2) == pytest.approx(0.23)


def test_a_call_with_both_sizes_is_shared_as_expected() -> None:
    costs = LookCosts()
    costs.measured(0.1, 1, 0)
    costs.measured(0.05, 0, 1)
    costs.measured(0.3, 1, 1)  # twice what was expected
    assert (costs.full_s, costs.small_s) == pytest.approx((0.13, 0.065))
    first = LookCosts()
    first.measured(0.3, 1, 2)
    assert (first.full_s, first.small_s) == pytest.approx((0.1, 0.1))


def test_a_look_in_full_size_is_due_from_time_to_time() -> None:
    costs = LookCosts()
    assert costs.full_is_due(0.0)
    costs.full_asked(5.0)
    assert not costs.full_is_due(6.9)
    assert costs.full_is_due(7.1)
    assert costs.full_is_due(1.0)  # a recording that begins again
