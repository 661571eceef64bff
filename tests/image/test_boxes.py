# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import (
    box_faults,
    box_iou,
    boxes_to_masks,
    check_boxes,
    clip_boxes,
    expand_boxes,
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([1, 1, 5, 5], None),
        ([-3, -3, 1, 1], None),
        ([NAN, 1, 5, 5], "not finite"),
        ([1, 1, INF, 5], "not finite"),
        ([5, 1, 1, 5], "inverted"),
        ([1, 5, 5, 1], "inverted"),
        ([1, 1, 1, 5], "zero area"),
        ([20, 1, 30, 5], "outside"),
        ([1, -5, 5, 0], "outside"),
        ([1e39, 1, 1e40, 5], "not finite"),  # beyond float32
    ],
)
def test_each_fault_is_named(box: list[float], fault: str | None) -> None:
    assert box_faults(np.array([box]), (10, 20)) == [fault]


def test_check_names_index_and_value() -> None:
    with pytest.raises(
        InvalidInputError, match=r"boxes\[1\]: inverted: got \[9.0, 1.0, 2.0, 5.0\]"
    ):
        check_boxes("boxes", [[0, 0, 1, 1], [9, 1, 2, 5]], (10, 10))


@pytest.mark.parametrize("bad", [[1, 2, 3, 4], np.zeros((2, 5)), [["a", "b", "c", "d"]]])
def test_arrays_of_another_form_are_refused(bad: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"expected numbers of shape \(N, 4\)"):
        check_boxes("boxes", bad)


def test_clip_keeps_good_boxes_and_says_why_others_went() -> None:
    boxes: Any = [
        [-5, -5, 5, 5],
        [NAN, 0, 1, 1],
        [3, 3, 2, 9],
        [4, 4, 4, 9],
        [90, 1, 99, 5],
        [1, 2, 3, 4],
    ]
    clipped, keep, reasons = clip_boxes(boxes, (20, 30))
    assert clipped.tolist() == [[0, 0, 5, 5], [1, 2, 3, 4]]
    assert clipped.dtype == np.float32
    assert keep.tolist() == [True, False, False, False, False, True]
    assert reasons == ("not finite", "inverted", "zero area", "outside")


def test_clip_takes_no_boxes_and_thousands() -> None:
    clipped, keep, reasons = clip_boxes(np.zeros((0, 4)), (20, 30))
    assert (clipped.shape, keep.shape, reasons) == ((0, 4), (0,), ())
    many = np.tile([[1, 1, 5, 5], [NAN] * 4], (2500, 1))
    clipped, keep, reasons = clip_boxes(many, (20, 30))
    assert (len(clipped), keep.sum(), len(reasons)) == (2500, 2500, 2500)


def test_expansion_is_of_the_sides_about_the_centre() -> None:
    assert expand_boxes([[10, 20, 20, 40]], 1.2).tolist() == [[9, 18, 21, 42]]
    area = 12 * 24 / (10 * 20)
    assert area == pytest.approx(1.44)  # paper 4.1


def test_expansion_is_clipped_to_the_image() -> None:
    assert expand_boxes([[0, 0, 10, 10]], 2.0, (12, 11)).tolist() == [[0, 0, 11, 12]]


def test_iou_of_known_boxes() -> None:
    a = np.array([[0, 0, 4, 4], [0, 0, 0, 0]])
    b = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [8, 8, 9, 9]])
    assert box_iou(a, b) == pytest.approx(np.array([[1, 8 / 24, 0], [0, 0, 0]]))
    assert box_iou(np.zeros((0, 4)), b).shape == (0, 3)


def test_drawn_box_covers_the_pixels_whose_centres_it_holds() -> None:
    mask = boxes_to_masks([[1.5, 0.6, 4.4, 3.0]], (5, 6))[0]
    expected = np.zeros((5, 6), bool)
    expected[1:3, 1:4] = True
    assert np.array_equal(mask, expected)


@given(st.tuples(*[st.floats(-20, 60, width=32)] * 4), st.integers(1, 40), st.integers(1, 40))
def test_drawn_box_is_empty_only_outside(corners: tuple, height: int, width: int) -> None:
    x0, x1 = sorted(corners[:2])
    y0, y1 = sorted(corners[2:])
    if x0 == x1 or y0 == y1:
        return
    mask = boxes_to_masks([[x0, y0, x1, y1]], (height, width))[0]
    overlaps = x0 < width and y0 < height and x1 > 0 and y1 > 0
    assert mask.any() == overlaps
