# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from amodal_ros.image.resize import resize_image


def resized(image: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """(h, w, 3)."""
    return resize_image(image, hw).transpose(1, 2, 0)


def by_pillow(image: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    return np.array(Image.fromarray(image).resize(hw[::-1], Image.BILINEAR)).astype(float)


@pytest.mark.parametrize("hw", [(1024, 1024), (683, 1024), (700, 601), (801, 603)])
def test_enlarging_equals_pillow(hw: tuple[int, int]) -> None:
    difference = np.abs(resized(data.coffee(), hw) - by_pillow(data.coffee(), hw))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02  # where it lies between two levels


@pytest.mark.parametrize("hw", [(200, 300), (320, 480), (350, 150), (55, 70), (390, 130)])
def test_shrinking_is_close_to_pillow(hw: tuple[int, int]) -> None:
    photo = data.coffee()
    expected = by_pillow(photo, hw)
    mean = np.abs(resized(photo, hw) - expected).mean()
    plain = np.abs(cv2.resize(photo, hw[::-1]) - expected).mean()
    assert mean < 1.2
    assert mean < 0.75 * plain


def test_one_axis_shrinks_and_the_other_grows() -> None:
    photo = data.coffee()
    difference = np.abs(resized(photo, (700, 300)) - by_pillow(photo, (700, 300)))
    assert difference.mean() < 0.5


@pytest.mark.parametrize("value", [0, 77, 255])
@pytest.mark.parametrize("hw", [(3, 5), (40, 11), (1, 1), (300, 2)])
def test_flat_images_stay_flat(value: int, hw: tuple[int, int]) -> None:
    flat = np.full((37, 29, 3), value, np.uint8)
    assert (resized(flat, hw) == value).all()
    assert resized(flat, hw).shape == (*hw, 3)


def test_nothing_shifts() -> None:
    """A ramp stays a ramp: its middle is its mean, at every size."""
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 100, 0).repeat(3, 2)
    for hw in [(50, 100), (37, 61), (100, 83), (20, 30), (250, 333)]:
        row = resized(ramp, hw)[hw[0] // 2, :, 0]
        expected = (np.arange(hw[1]) + 0.5) * 200 / hw[1] - 0.5
        inner = slice(hw[1] // 8, -hw[1] // 8)
        assert np.abs(row[inner] - expected[inner]).max() <= 1.01


def test_a_result_stays_when_others_follow() -> None:
    photo = data.coffee()
    first = resize_image(photo, (500, 700))
    kept = first.copy()
    resize_image(photo[::-1].copy(), (640, 900))
    resize_image(photo[::-1].copy(), (500, 700))
    assert np.array_equal(first, kept)


def test_rows_of_a_larger_array_are_filled_alone() -> None:
    photo = data.coffee()[:90, :70].copy()
    array = np.full((3, 130, 140), -1, np.float32)
    resize_image(photo, (120, 110), array[:, :120, :110])
    assert np.array_equal(array[:, :120, :110], resize_image(photo, (120, 110)))
    assert (array[:, 120:] == -1).all()
    assert (array[:, :, 110:] == -1).all()
