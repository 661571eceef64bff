# SPDX-License-Identifier: Apache-2.0
"""Whose outline goes on where the border of two objects ends."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.junctions import Junctions
from amodal_ros.occlusion.shapes import Shape
from tests.occlusion.drawn import block, graph_of

HW = 120, 160
EMPTY = np.zeros(HW, bool)


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: HW[0], : HW[1]]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def towards_first(*seen: np.ndarray) -> float:
    """By what is seen alone: nothing is completed."""
    masks = [CroppedMask.of(one) for one in seen]
    junctions = Junctions([Shape.of(mask, mask) for mask in masks])
    found = junctions.towards_first(0, 1)
    assert junctions.towards_first(1, 0) == -found
    return found


FRONT, BACK = disc(60, 60, 30), disc(95, 55, 30)
BAR = block(50, 150, 50, 70, HW)


@pytest.mark.parametrize("back", [BACK, BAR])
def test_the_outline_in_front_goes_on(back: np.ndarray) -> None:
    assert towards_first(FRONT, back & ~FRONT) > 0.5
    assert towards_first(back, FRONT & ~back) > 0.5  # where it is the other way round


def test_also_of_an_object_that_is_cut_in_two_and_of_masks_with_a_gap_between() -> None:
    assert towards_first(BAR, FRONT & ~BAR) > 0.5
    assert towards_first(FRONT, BACK & ~disc(60, 60, 31)) > 0.5


def test_of_one_that_is_seen_through_the_other_too() -> None:
    """A ring before a bar: parts of the bar lie in it, and beyond it."""
    ring = disc(60, 60, 40) & ~disc(60, 60, 25)
    bar = block(10, 120, 52, 66, HW)
    assert towards_first(ring, bar & ~ring) > 0.5


def test_nothing_is_said_without_a_border_or_without_a_difference() -> None:
    assert towards_first(FRONT, disc(130, 60, 20)) == 0.0  # apart
    assert towards_first(FRONT, EMPTY) == 0.0
    assert towards_first(EMPTY, EMPTY) == 0.0
    assert towards_first(FRONT, FRONT) == 0.0
    halves = block(20, 60, 30, 90, HW), block(60, 100, 30, 90, HW)
    assert towards_first(*halves) == pytest.approx(0.0, abs=0.1)


def test_it_is_in_proportion_to_the_size() -> None:
    small = towards_first(FRONT, BACK & ~FRONT)
    large = [np.kron(one, np.ones((3, 3), bool)) for one in (FRONT, BACK & ~FRONT)]
    assert towards_first(*large) == pytest.approx(small, abs=0.25)


def test_outlines_decide_where_a_completion_reaches_into_the_object_behind() -> None:
    """As models err: what is in front was completed beneath what it hides, and that was not."""
    front, back = disc(60, 60, 30), disc(95, 60, 30)
    seen = back & ~front
    wrong = front | seen & block(90, 93, 50, 70, HW)
    (pair,) = graph_of((front, wrong), (seen, seen), upright=False).pairs
    assert pair.hidden < pair.against
    assert (pair.front, pair.back) == (0, 1)


def test_what_one_outline_ends_at_is_not_interlaced() -> None:
    """Each was completed beneath the other, but all borders end at the outline of the first."""
    front, back = disc(60, 60, 30), disc(95, 60, 30)
    seen = back & ~front
    graph = graph_of((front, front | seen & disc(85, 60, 15)), (seen, back), upright=False)
    assert graph.cycles == ()
    assert graph.hidings[0].occluders == ()
    assert graph.hidings[1].occluders == (0,)
