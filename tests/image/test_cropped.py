# SPDX-License-Identifier: Apache-2.0
"""Cropped masks do what whole arrays do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import CroppedMask, box_about, full_masks, tight_boxes
from amodal_ros.image.masks import dilate_mask, mask_box, mask_iou

HW = (23, 31)
BOX = (4, 3, 18, 15)


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """(H, W) bool: anything between nothing and all, in a random box."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = np.zeros(HW, bool)
    (top, bottom), (left, right) = (sorted(rng.integers(0, size + 1, 2)) for size in HW)
    mask[top:bottom, left:right] = rng.random((bottom - top, right - left)) < rng.random()
    return mask


boxes = st.tuples(*[st.integers(-8, 40)] * 4)


@given(masks(), boxes)
def test_one_mask(mask: np.ndarray, box: tuple[int, int, int, int]) -> None:
    cropped = CroppedMask.of(mask)
    assert np.array_equal(cropped.full(), mask)
    assert cropped.box_xyxy == mask_box(mask)
    assert cropped.area == mask.sum()
    assert cropped.is_empty == (not mask.any())
    padded = np.pad(mask, 50)
    x0, y0, x1, y1 = (side + 50 for side in box)
    window = padded[y0:y1, x0:x1]
    assert np.array_equal(cropped.cut(box), window)
    assert cropped.area_in(box) == window.sum()
    inside = mask[max(box[1], 0) : max(box[3], 0), max(box[0], 0) : max(box[2], 0)]
    assert cropped.filled_share(box) == (inside.mean() if inside.size else 0.0)
    x, y = np.random.default_rng(0).integers(-3, 34, (2, 20))
    assert np.array_equal(cropped.which(x, y), np.flatnonzero(padded[y + 50, x + 50]))


@given(masks(), masks())
def test_two_masks(one: np.ndarray, other: np.ndarray) -> None:
    a, b = CroppedMask.of(one), CroppedMask.of(other)
    found = [(a | b, one | other), (a & b, one & other), (a - b, one & ~other)]
    for got, expected in found:
        assert np.array_equal(got.full(), expected)
        assert got.box_xyxy == mask_box(expected)
    assert a.shared(b) == (one & other).sum()
    assert a.iou(b) == mask_iou(one, other)
    assert a.share_in(b) == ((one & other).sum() / one.sum() if one.any() else 1.0)


@given(masks(), st.sampled_from([0.0, 1.0, 2.5, 9.0]))
def test_dilation_is_that_of_the_whole(mask: np.ndarray, radius: float) -> None:
    found, expected = CroppedMask.of(mask).dilated(radius), dilate_mask(mask, radius)
    assert np.array_equal(found.full(), expected)
    assert found.box_xyxy == mask_box(expected)


@given(masks(), st.sampled_from([2.0, 5.5, 9.0]))
def test_dilation_on_half_the_pixels_is_up_to_a_pixel_off(mask: np.ndarray, radius: float) -> None:
    found = CroppedMask.of(mask).dilated(radius, 2)
    assert found.box_xyxy == mask_box(found.full())
    # A pixel of the coarse grid stands for four: the mask's first of them is what is measured.
    first = np.zeros_like(mask)
    if mask.any():
        x0, y0 = mask_box(mask)[:2]
        first[y0::2, x0::2] = mask[y0::2, x0::2]
    assert not (found.full() & ~dilate_mask(mask, 1.03 * radius + 1.5)).any()
    assert not (dilate_mask(first, max(0.97 * radius - 1.5, 0)) & ~found.full()).any()


@given(masks(), st.integers(-40, 40), st.integers(-40, 40))
def test_a_shift_is_that_of_the_whole(mask: np.ndarray, right: int, down: int) -> None:
    found = CroppedMask.of(mask).shifted((right, down))
    expected = np.pad(mask, 40)[40 - down : 40 - down + HW[0], 40 - right : 40 - right + HW[1]]
    assert np.array_equal(found.full(), expected)
    assert found.box_xyxy == mask_box(expected)


def test_what_it_keeps_is_its_own() -> None:
    mask = np.ones(HW, bool)
    cropped = CroppedMask.of(mask)
    mask[:] = False
    assert cropped.area == cropped.full().sum() == HW[0] * HW[1]


def test_several() -> None:
    some = [CroppedMask.filled(HW, BOX), CroppedMask.empty(HW)]
    assert full_masks(some, HW).sum(axis=(1, 2)).tolist() == [14 * 12, 0]
    assert tight_boxes(some).tolist() == [list(BOX), [0, 0, 0, 0]]
    assert full_masks([], HW).shape == (0, *HW)
    assert tight_boxes([]).shape == (0, 4)


def test_refuses_what_is_no_mask() -> None:
    with pytest.raises(InvalidInputError, match="expected a bool array"):
        CroppedMask.of(np.zeros(HW, np.uint8))


def test_the_box_about_two_leaves_out_an_empty_masks():
    a, b, nothing = (1, 5, 4, 9), (3, 2, 8, 6), (0, 0, 0, 0)
    assert box_about(a, b) == box_about(b, a) == (1, 2, 8, 9)
    assert box_about(a, nothing) == box_about(nothing, a) == a
    assert box_about(nothing, nothing) == nothing
