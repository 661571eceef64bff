# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amodal_ros.image.rle import encode_rle
from training.datasets.coco_tables import decode_segmentation


@given(
    hw=st.tuples(st.integers(1, 17), st.integers(1, 19)),
    seed=st.integers(0, 2**16),
    density=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_rle_round_trip_of_both_kinds(layout, hw, seed, density):
    mask = np.random.default_rng(seed).random(hw) < density
    for encoded in (encode_rle(mask), layout.rle_bytes(mask), layout.rle_uncompressed(mask)):
        np.testing.assert_array_equal(decode_segmentation(encoded, hw), mask)
    np.testing.assert_array_equal(decode_segmentation([encode_rle(mask)], hw), mask)


def test_several_polygons_are_merged(layout):
    segmentation = [layout.polygon(2, 3, 10, 9), layout.polygon(20, 5, 33, 20)]
    expected = layout.rectangle(2, 3, 10, 9) | layout.rectangle(20, 5, 33, 20)
    np.testing.assert_array_equal(decode_segmentation(segmentation, layout.hw), expected)


def test_one_flat_polygon_as_cocoa_has_it(layout):
    mask = decode_segmentation(layout.polygon(2, 3, 10, 9), layout.hw)
    np.testing.assert_array_equal(mask, layout.rectangle(2, 3, 10, 9))


def test_two_points_are_no_polygon_and_not_taken_for_a_box(layout):
    assert not decode_segmentation([[2.0, 3.0, 10.0, 9.0]], layout.hw).any()
    both = [[2.0, 3.0, 10.0, 9.0], layout.polygon(20, 5, 33, 20)]
    np.testing.assert_array_equal(
        decode_segmentation(both, layout.hw), layout.rectangle(20, 5, 33, 20)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r | {"size": [24, 41]}, r"RLE size \[24, 41\] does not match the image's"),
        (lambda r: r | {"counts": r["counts"][:-2]}, "RLE runs add up to|middle of a number"),
        (lambda r: r | {"counts": ""}, "RLE runs add up to 0 pixels, the image has 960"),
        (lambda r: r | {"counts": r["counts"] + "5"}, "RLE runs add up to"),
        (lambda r: r | {"counts": "\x01"}, "unexpected character"),
        (lambda r: r | {"counts": 7}, "RLE counts are a int"),
        (lambda r: r | {"counts": [960, -3, 3]}, "negative run length -3"),
        (lambda r: r | {"counts": [3, 4]}, "RLE runs add up to 7 pixels, the image has 960"),
        (lambda r: [r, r], "2 RLE masks where one was expected"),
        (lambda r: [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]], "polygon of 7 numbers"),
        (lambda r: [[1.0, 2.0, 3.0, float("nan"), 5.0, 6.0]], "finite"),
        (lambda r: "nonsense", "not polygons or RLE"),
    ],
)
def test_bad_masks_say_what_is_wrong(layout, change, message):
    good = layout.rle(layout.rectangle(3, 4, 30, 20))
    with pytest.raises(ValueError, match=message):
        decode_segmentation(change(good), layout.hw)
