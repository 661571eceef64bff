# SPDX-License-Identifier: Apache-2.0
"""Pixels that a mask is unsure of go to the side whose colours they have."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from amodal_ros.inference.region_colours import with_colours

RED, BLUE = (200, 40, 30), (30, 60, 180)
SHARPNESS = 2.0


def test_it_is_the_ratio_of_what_both_sides_have_of_a_colour() -> None:
    """Pixel by pixel, by the words of the docstring."""
    rng = np.random.default_rng(5)
    picture = rng.choice(np.array([20, 70, 120, 220]), (16, 18, 3)).astype(np.uint8)
    logits = rng.normal(0, 3, (16, 18)).astype(np.float32)
    found = with_colours(picture, logits, SHARPNESS)
    sides: dict[bool, Counter[tuple[int, ...]]] = {True: Counter(), False: Counter()}
    for colour, logit in zip(
        picture.reshape(-1, 3).tolist(), logits.ravel().tolist(), strict=True
    ):
        probability = 1 / (1 + math.exp(-SHARPNESS * logit))
        if abs(probability - 0.5) > 0.2:
            sides[probability > 0.5][tuple(value // 8 for value in colour)] += 1
    for row, column in np.ndindex(logits.shape):
        colour = tuple(value // 8 for value in picture[row, column].tolist())
        own, others = (side[colour] / side.total() + 6e-5 for side in (sides[True], sides[False]))
        moved = min(max(math.log(own / others), -3.0), 3.0)
        logit = float(logits[row, column])
        weight = 1.5 * math.exp(-((logit / 3) ** 2)) if abs(logit) < 4 else 0.0
        assert found[row, column] == pytest.approx(logit + weight * moved, abs=1e-4)


def halves(left: float, right: float, middle: float = 0.0) -> np.ndarray:
    """(12, 30) float32: a left part, a middle and a right part of 10 columns each."""
    return np.repeat(np.array([left, middle, right], np.float32), 10)[None].repeat(12, axis=0)


def test_what_is_unsure_goes_to_its_colour_and_what_is_sure_stays() -> None:
    logits = halves(8.0, -8.0)
    picture = np.zeros((12, 30, 3), np.uint8)
    picture[:, :15], picture[:, 15:] = RED, BLUE
    found = with_colours(picture, logits, SHARPNESS)
    assert (found[:, 10:15] > 2).all()
    assert (found[:, 15:20] < -2).all()
    assert np.array_equal(found[:, :10], logits[:, :10])
    assert np.array_equal(found[:, 20:], logits[:, 20:])
    assert (logits[:, 10:20] == 0).all()  # what came is not written into


def test_a_colour_of_both_sides_says_nothing() -> None:
    picture = np.full((12, 30, 3), 128, np.uint8)
    logits = halves(8.0, -8.0, 0.4)
    assert np.allclose(with_colours(picture, logits, SHARPNESS), logits, atol=1e-5)


@pytest.mark.parametrize(("left", "right"), [(8.0, 0.5), (-0.5, -8.0)])
def test_colours_of_one_side_alone_say_nothing(left: float, right: float) -> None:
    """Nothing is likely beside the object, or on it."""
    picture = np.zeros((12, 30, 3), np.uint8)
    picture[:, :15], picture[:, 15:] = RED, BLUE
    logits = halves(left, right)
    assert np.array_equal(with_colours(picture, logits, SHARPNESS), logits)


def test_a_part_of_a_larger_picture_is_as_good() -> None:
    rng = np.random.default_rng(2)
    whole = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    part = whole[5:17, 9:39]
    logits = halves(8.0, -8.0)
    expected = with_colours(np.ascontiguousarray(part), logits, SHARPNESS)
    assert np.array_equal(with_colours(part, logits, SHARPNESS), expected)
    assert np.array_equal(with_colours(part[..., ::-1][..., ::-1], logits, SHARPNESS), expected)
