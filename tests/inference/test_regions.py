# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amodal_ros.inference.prompts import check_queries
from amodal_ros.inference.regions import MAX_FACTOR, MAX_SHIFT, TIGHT_FACTOR, object_regions

HW = (90, 160)


def region(
    box: list[float],
    prior: list[int] | None = None,
    factor: float = 1.5,
    tight: bool = False,
) -> np.ndarray:
    """The region (x0, y0, x1, y1) of one object; `prior` is the box of its mask."""
    mask = None
    if prior is not None:
        mask = np.zeros(HW, bool)
        mask[prior[1] : prior[3], prior[0] : prior[2]] = True
    queries = check_queries(HW, [box], [mask], None, [tight])
    return np.array(object_regions(queries, factor, 64)[0].source_xyxy)


def test_without_a_prior_it_is_the_box_times_the_factor_about_its_centre() -> None:
    assert region([40, 30, 80, 50]).tolist() == [30, 10, 90, 70]
    assert region([40, 30, 50, 60], factor=2.0).tolist() == [15, 15, 75, 75]


def test_it_may_reach_outside_the_image() -> None:
    assert region([0, 0, 20, 10]).tolist() == [-5, -10, 25, 20]
    assert region([0, 40, 160, 50], factor=2.0).tolist() == [-80, -115, 240, 205]


def test_a_prior_inside_changes_nothing() -> None:
    assert region([40, 30, 80, 50], [31, 12, 89, 68]).tolist() == [30, 10, 90, 70]


def test_it_moves_before_it_grows() -> None:
    assert region([40, 30, 80, 50], [40, 20, 93, 60]).tolist() == [33, 10, 93, 70]
    assert region([40, 30, 80, 50], [40, 30, 80, 73]).tolist() == [30, 13, 90, 73]


def test_it_grows_only_as_far_as_training_went() -> None:
    x0, y0, x1, y1 = region([40, 30, 80, 50], [40, 30, 159, 50])
    assert x1 - x0 == y1 - y0 == pytest.approx(MAX_FACTOR * 40, abs=1)
    centre = 60 + MAX_SHIFT * 60
    assert (x0 + x1) / 2 == pytest.approx(centre, abs=1)
    assert (y0 + y1) / 2 == pytest.approx(40, abs=1)


def test_a_prior_beyond_both_ends_is_centred() -> None:
    x0, _, x1, _ = region([60, 30, 80, 50], [50, 30, 86, 50])
    assert x0 <= 50
    assert x1 >= 86
    assert (x0 + x1) / 2 == pytest.approx(68, abs=1)


def test_a_tight_region_is_as_large_as_its_prior_needs() -> None:
    x0, y0, x1, y1 = region([40, 30, 80, 50], [42, 32, 78, 48], tight=True)
    assert x1 - x0 == y1 - y0 == pytest.approx(TIGHT_FACTOR * 40, abs=1)
    wide = region([40, 30, 80, 50], [31, 12, 89, 68], factor=1.6, tight=True)
    assert wide.tolist() == [31, 11, 89, 69]


def test_a_tight_region_needs_a_prior_and_never_enlarges() -> None:
    assert region([40, 30, 80, 50], tight=True).tolist() == [30, 10, 90, 70]
    small = region([40, 30, 80, 50], [42, 32, 78, 48], factor=1.2, tight=True)
    assert small.tolist() == region([40, 30, 80, 50], [42, 32, 78, 48], factor=1.2).tolist()


def test_a_model_for_larger_regions_keeps_its_factor() -> None:
    x0, _, x1, _ = region([60, 30, 80, 50], [0, 0, 159, 89], factor=3.0)
    assert x1 - x0 == pytest.approx(60, abs=1)


boxes = st.tuples(
    st.floats(0, 150), st.floats(0, 80), st.floats(0.5, 160), st.floats(0.5, 90)
).map(lambda b: [b[0], b[1], min(b[0] + b[2], 160.0), min(b[1] + b[3], 90.0)])


@settings(max_examples=200, deadline=None)
@given(boxes, boxes, st.floats(1.0, 2.2))
def test_it_is_a_square_within_the_limits_that_holds_the_box(
    box: list[float], other: list[float], factor: float
) -> None:
    prior = [int(other[0]), int(other[1]), int(np.ceil(other[2])), int(np.ceil(other[3]))]
    plain, found = region(box, factor=factor), region(box, prior, factor)
    longer = max(box[2] - box[0], box[3] - box[1])
    side = found[2] - found[0]
    assert side == found[3] - found[1]
    assert factor * longer - 1e-3 <= side <= max(MAX_FACTOR, factor) * longer + 2
    assert (found[:2] <= np.array(box[:2]) + 1e-3).all()
    assert (found[2:] >= np.array(box[2:]) - 1e-3).all()
    moved = (found[:2] + found[2:]) / 2 - (plain[:2] + plain[2:]) / 2
    assert (np.abs(moved) <= MAX_SHIFT * factor * longer + 1.5).all()

    def cut_off(square: np.ndarray) -> float:
        low = np.maximum(square[:2] - prior[:2], 0)
        return float((low + np.maximum(np.array(prior[2:]) - square[2:], 0)).max())

    assert cut_off(found) <= cut_off(plain) + 1.5
