# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.rle import decode_rle, encode_rle


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]),
)
def test_equals_pycocotools_and_comes_back(h: int, w: int, seed: int, density: float) -> None:
    mask = np.random.default_rng(seed).random((h, w)) < density
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    rle = encode_rle(mask)
    assert rle == {"size": [h, w], "counts": expected["counts"].decode()}
    assert np.array_equal(decode_rle(rle), mask)
    assert np.array_equal(decode_rle(expected), mask)


def test_long_runs() -> None:
    mask = np.zeros((1080, 1920), bool)
    mask[300:900, 200:1800] = True
    rle = encode_rle(mask)
    assert np.array_equal(coco.decode({**rle, "counts": rle["counts"].encode()}) > 0, mask)
    assert np.array_equal(decode_rle(rle), mask)


def test_uncompressed_runs() -> None:
    assert decode_rle({"size": [2, 3], "counts": [1, 2, 3]}).tolist() == [
        [False, True, False],
        [True, False, False],
    ]


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"counts": "0"}, "RLE size: expected"),
        ({"size": [2, -2], "counts": "0"}, "RLE size: expected"),
        ({"size": [2, 2]}, "RLE counts are a NoneType"),
        ({"size": [2, 2], "counts": [1, 2]}, "add up to 3 pixels, the image has 4"),
        ({"size": [2, 2], "counts": [5, -1]}, "negative run length -1"),
        ({"size": [2, 2], "counts": "\x01"}, "unexpected character"),
        ({"size": [2, 2], "counts": "T"}, "middle of a number"),
    ],
)
def test_broken_encodings_are_refused(rle: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        decode_rle(rle)


def test_other_arrays_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="mask: expected a bool array"):
        encode_rle(np.zeros((2, 2), np.uint8))
