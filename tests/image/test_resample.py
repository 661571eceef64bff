# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from amodal_ros.image.resample import resize_image


def resized(image: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """(h, w, 3)."""
    return resize_image(image, hw).transpose(1, 2, 0)


def by_pillow(image: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    return np.array(Image.fromarray(image).resize(hw[::-1], Image.BILINEAR)).astype(float)


@pytest.mark.parametrize("hw", [(1024, 1024), (683, 1024), (700, 601), (801, 603)])
def test_enlarging_equals_pillow(hw: tuple[int, int]) -> None:
    difference = np.abs(resized(data.coffee(), hw) - by_pillow(data.coffee(), hw))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.003


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
