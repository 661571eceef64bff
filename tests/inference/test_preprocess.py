# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from skimage import data

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.inference.preprocess import preprocess_image

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class OfficialEncoder(torch.nn.Module):
    img_size = 1024


def official(image: np.ndarray) -> np.ndarray:
    """What segment_anything feeds its encoder."""
    sam = Sam(OfficialEncoder(), torch.nn.Identity(), torch.nn.Identity(), list(MEAN), list(STD))
    resized = ResizeLongestSide(1024).apply_image(image)
    return sam.preprocess(torch.from_numpy(resized).permute(2, 0, 1)[None].float()).numpy()


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_enlarged_photo_equals_the_official_input(name: str) -> None:
    image = getattr(data, name)()
    got = preprocess_image(image, ResizeGeometry.letterbox(image.shape[:2], 1024), MEAN, STD)
    levels = np.abs(got - official(image)) * np.reshape(STD, (1, 3, 1, 1))
    assert got.shape == (1, 3, 1024, 1024)
    assert levels.max() <= 1.01
    assert (levels > 0.5).mean() < 0.001  # where Pillow rounds half a level otherwise


@pytest.mark.parametrize(
    ("hw", "mean_levels"),
    [((720, 1280), 0.7), ((1080, 1920), 0.4), ((2500, 3000), 0.9), ((1300, 1170), 0.7)],
)
def test_shrunk_photo_is_close_to_the_official_input(
    hw: tuple[int, int], mean_levels: float
) -> None:
    """On tiles as sharp as a photo gets; linear interpolation alone is off by 1 to 5 levels."""
    photo = np.tile(data.coffee(), (7, 5, 1))[: hw[0], : hw[1]]
    got = preprocess_image(photo, ResizeGeometry.letterbox(hw, 1024), MEAN, STD)
    levels = np.abs(got - official(photo)) * np.reshape(STD, (1, 3, 1, 1))
    assert levels.mean() < mean_levels


def test_padding_is_zero_after_normalising() -> None:
    got = preprocess_image(
        np.full((10, 20, 3), 255, np.uint8), ResizeGeometry.letterbox((10, 20), 64), MEAN, STD
    )
    assert not got[:, :, 32:].any()
    white = (255 - np.array(MEAN)) / STD
    assert got[0, :, :32] == pytest.approx(np.broadcast_to(white[:, None, None], (3, 32, 64)))


def test_stretch_fills_the_square() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, 10:] = 255
    got = preprocess_image(image, ResizeGeometry.stretch((10, 20), 64), (0, 0, 0), (255, 255, 255))
    assert not got[..., :30].any()
    assert (got[..., 34:] == 1).all()


def test_roi_is_cut_out_and_zero_outside_the_image() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(20)[None, :], np.arange(20)[:, None]
    geometry = ResizeGeometry.roi((20, 20), [-4, 12, 4, 20], 8)
    got = preprocess_image(image, geometry, (0, 0, 0), (1, 1, 1))
    assert not got[..., :4].any()
    assert got[0, 0, 0, 4:].tolist() == [0, 1, 2, 3]
    assert got[0, 1, :, 5].tolist() == list(range(12, 20))


def test_roi_equals_the_crop_resized() -> None:
    image = data.astronaut()
    geometry = ResizeGeometry.roi(image.shape[:2], [100, 50, 300, 200], 128)
    x0, y0, x1, y1 = geometry.source_xyxy
    crop = np.ascontiguousarray(image[y0:y1, x0:x1])
    whole = ResizeGeometry.stretch(crop.shape[:2], 128)
    assert np.array_equal(
        preprocess_image(image, geometry, MEAN, STD), preprocess_image(crop, whole, MEAN, STD)
    )


def test_layout_of_the_image_does_not_matter() -> None:
    image = data.coffee()
    geometry = ResizeGeometry.letterbox(image.shape[:2], 256)
    expected = preprocess_image(image, geometry, MEAN, STD)
    assert expected.flags.c_contiguous
    assert expected.dtype == np.float32
    bgr = np.ascontiguousarray(image[..., ::-1])
    assert np.array_equal(preprocess_image(bgr[..., ::-1], geometry, MEAN, STD), expected)
    padded = np.zeros((image.shape[0], image.shape[1] + 7, 3), np.uint8)
    padded[:, :-7] = image
    assert np.array_equal(preprocess_image(padded[:, :-7], geometry, MEAN, STD), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (37, 11)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 200, np.uint8)
    got = preprocess_image(image, ResizeGeometry.letterbox(size, 64), (0, 0, 0), (1, 1, 1))
    content = ResizeGeometry.letterbox(size, 64).content_hw
    assert (got[0, :, : content[0], : content[1]] == 200).all()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 5), np.uint8), r"expected a uint8 array of shape \(any, any, 3\)"),
        (np.zeros((4, 5, 4), np.uint8), r"got uint8 array of shape \(4, 5, 4\)"),
        (np.zeros((4, 5, 3), np.float32), "got float32"),
        (np.zeros((0, 5, 3), np.uint8), "at least one pixel"),
        (np.zeros((5, 4, 3), np.uint8), r"expected the geometry's \(4, 5\), got \(5, 4\)"),
        ("picture", "got str"),
    ],
)
def test_other_images_are_refused(image: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        preprocess_image(image, ResizeGeometry.letterbox((4, 5), 64), MEAN, STD)


@pytest.mark.parametrize(("mean", "std"), [((1, 2), STD), (MEAN, (1, 0, 1))])
def test_unusable_mean_and_std_are_refused(mean: tuple, std: tuple) -> None:
    with pytest.raises(InvalidInputError, match="mean, std"):
        preprocess_image(
            np.zeros((4, 5, 3), np.uint8), ResizeGeometry.letterbox((4, 5), 64), mean, std
        )
