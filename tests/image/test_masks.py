# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import dilate_mask, mask_areas, mask_box, mask_boxes, mask_iou


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.random((height, width)) < draw(st.sampled_from([0.0, 0.01, 0.1, 1.0]))


@given(masks())
def test_box_is_that_of_the_set_pixels(mask: np.ndarray) -> None:
    rows, columns = np.nonzero(mask)
    expected = (0, 0, 0, 0)
    if len(rows):
        expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert mask_box(mask) == expected
    assert mask_box(np.asfortranarray(mask)) == expected
    assert mask_boxes(mask[None]).tolist() == [list(expected)]


def test_boxes_and_areas_of_no_masks() -> None:
    none = np.zeros((0, 4, 5), bool)
    assert mask_boxes(none).shape == (0, 4)
    assert mask_boxes(none).dtype == np.int32
    assert mask_areas(none).shape == (0,)


def test_iou() -> None:
    a, b = np.zeros((2, 4, 4), bool)
    assert mask_iou(a, b) == 0
    a[:2], b[1:3] = True, True
    assert mask_iou(a, b) == pytest.approx(4 / 12)


@given(masks(), st.floats(0, 20))
def test_dilation_adds_every_pixel_within_the_radius(mask: np.ndarray, radius: float) -> None:
    rows, columns = np.nonzero(mask)
    y, x = np.indices(mask.shape)
    distance = np.full(mask.shape, np.inf)
    for row, column in zip(rows, columns, strict=True):
        distance = np.minimum(distance, np.hypot(y - row, x - column))
    dilated = dilate_mask(mask, radius)
    assert dilated[distance * 1.03 <= radius].all()
    assert not dilated[distance * 0.97 > radius].any()
    assert dilated[mask].all()


def test_dilation_by_a_whole_number_includes_that_distance() -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    assert dilate_mask(mask, 3)[4, 1]
    assert not dilate_mask(mask, 2.9)[4, 1]
    assert np.array_equal(dilate_mask(mask, 0), mask)


@pytest.mark.parametrize("radius", [-1, float("nan"), float("inf")])
def test_dilation_refuses_other_radii(radius: float) -> None:
    with pytest.raises(InvalidInputError, match="radius: expected a finite number >= 0"):
        dilate_mask(np.ones((3, 3), bool), radius)
