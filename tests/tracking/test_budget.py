# SPDX-License-Identifier: Apache-2.0
"""Which objects of a frame are looked at, and within what time each of them is."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.tracking.budget import FrameBudget, looks_until_all, part_of
from amodal_ros.tracking.tracker import AmodalTracker
from amodal_ros.types import Detections
from tests.tracking.virtual_camera import HW, row_of_boxes


def test_parts_of_a_plan() -> None:
    tracker = AmodalTracker()
    plan = tracker.plan(Detections.from_boxes(row_of_boxes(3)), 0.0, HW)
    part = part_of(plan, np.array([2, 0]))
    assert part.track_ids.tolist() == [plan.track_ids[2], plan.track_ids[0]]
    assert len(part.prior_masks) == len(part.forecasts) == len(part.class_ids) == 2
    assert (part.image_hw, part.stamp_s, part.camera.shape) == (HW, 0.0, (2, 3))
    assert len(part_of(plan, np.zeros(0, np.intp))) == 0


@pytest.mark.parametrize(
    ("count", "limit", "turns"), [(0, 1, 0), (1, 1, 1), (4, 1, 8), (8, 3, 4), (8, 8, 1)]
)
def test_the_bound(count: int, limit: int, turns: int) -> None:
    assert looks_until_all(count, limit) == turns


def test_running_cost() -> None:
    budget, tracker = FrameBudget(), AmodalTracker()
    plan = tracker.plan(Detections.from_boxes(row_of_boxes(4)), 0.0, HW)
    assert len(budget.choose(plan, 0.1, 0.1)) == 1  # not known yet
    budget.looked(part_of(plan, np.array([0])), np.ones(1, np.float32), 0.04, looks=2)
    assert len(budget.choose(plan, 0.1, 0.1)) == 4
    assert len(budget.choose(plan, 0.05, 0.1)) == 2
    budget.looked(part_of(plan, np.array([1])), np.ones(1, np.float32), 0.12)
    assert len(budget.choose(plan, 0.1, 0.1)) == 2  # an outlier counts a third
    assert len(budget.choose(plan, 0.0, 0.1)) == 1
    assert len(budget.choose(plan, 0.1, 0.1, full=True)) == 0


def test_who_is_looked_at_is_not_chosen_again_and_who_waits_is() -> None:
    budget, tracker = FrameBudget(), AmodalTracker()
    plan = tracker.plan(Detections.from_boxes(row_of_boxes(4)), 0.0, HW)
    first, second, *_ = plan.track_ids.tolist()
    found = budget.choose(plan, 1.0, 0.1, going=[first], waiting=[second])
    assert found.rows.tolist() == [1]
    for _ in range(4):
        assert 0 not in budget.choose(plan, 1.0, 0.1, going=[first]).rows
