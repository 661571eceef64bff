# SPDX-License-Identifier: Apache-2.0
"""Pixels: Eq. 6 against a slow reference, pasting, moving and harmonising."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.taos.blend import (
    Patch,
    blur_boundary,
    boundary_band,
    cut_from_photo,
    harmonise,
    paste,
    transform,
)
from training.taos.types import CutOut


def slow_blur(image: np.ndarray, y: int, x: int, size: int, sigma: float) -> np.ndarray:
    """Eq. 6 for one pixel, with the kernel normalised to 1 and the border repeated."""
    half = size // 2
    total, value = 0.0, np.zeros(3)
    for dy in range(-half, half + 1):
        for dx in range(-half, half + 1):
            weight = np.exp(-(dx * dx + dy * dy) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
            row = min(max(y + dy, 0), image.shape[0] - 1)
            column = min(max(x + dx, 0), image.shape[1] - 1)
            value += weight * image[row, column]
            total += weight
    return value / total


@pytest.mark.parametrize(("size", "sigma"), [(3, 0.7), (5, 1.0), (7, 2.0)])
def test_boundary_blur_is_eq_6_and_nothing_else_changes(size: int, sigma: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[0:18, 10:30] = True  # touches the border
    before = image.copy()
    blur_boundary(image, mask, size, sigma)
    half = size // 2
    for y in range(40):
        for x in range(50):
            window = mask[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
            if window.all() or not window.any():
                assert (image[y, x] == before[y, x]).all()
            else:
                expected = slow_blur(before, y, x, size, sigma)
                assert np.abs(image[y, x] - expected).max() <= 1.5  # 8-bit fixed point


def test_blur_off_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    mask = np.eye(20, dtype=bool)
    before = image.copy()
    blur_boundary(image, mask, 0, 1.0)
    assert (image == before).all()


def test_band_ignores_the_image_border() -> None:
    assert not boundary_band(np.ones((10, 10), bool), 5).any()


def test_paste_blends_and_clips() -> None:
    image = np.full((10, 10, 3), 100, np.uint8)
    alpha = np.full((6, 6), 0.25, np.float32)
    paste(image, Patch(np.full((6, 6, 3), 200, np.uint8), alpha, -2, 7))
    assert (image[7:, :4] == 125).all()
    image[7:, :4] = 100
    assert (image == 100).all()
    paste(image, Patch(np.full((6, 6, 3), 200, np.uint8), alpha, 50, 50))
    assert (image == 100).all()


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("flip", [False, True])
def test_transform_scales_area_and_mirrors(scale: float, flip: bool) -> None:
    alpha = np.zeros((60, 80), np.float32)
    cv2.ellipse(alpha, (30, 30), (24, 14), 0, 0, 360, 1.0, -1)
    rgb = np.zeros((60, 80, 3), np.uint8)
    rgb[:, :30, 0], rgb[:, 30:, 1] = 255, 255
    cut = CutOut(rgb, alpha, soft=False, origin={})
    moved, solid = transform(cut, scale, 0.0, flip)
    assert solid.sum() == pytest.approx(alpha.sum() * scale**2, rel=0.05)
    assert set(np.unique(solid)) <= {0.0, 1.0}
    left = moved[:, : moved.shape[1] // 3][solid[:, : moved.shape[1] // 3] > 0]
    assert left[:, 1 if flip else 0].mean() > 250


def test_transform_bleeds_no_background_colour() -> None:
    alpha = np.zeros((40, 40), np.float32)
    alpha[10:30, 10:30] = 1
    rgb = np.full((40, 40, 3), 255, np.uint8)  # white outside
    rgb[10:30, 10:30] = 40
    rgb_out, alpha_out = transform(CutOut(rgb, alpha, soft=True, origin={}), 0.7, 23.0, False)
    assert rgb_out[alpha_out > 0.02].max() <= 42


def test_rotation_keeps_area_and_soft_alpha() -> None:
    alpha = cv2.GaussianBlur(np.pad(np.ones((30, 50), np.float32), 10), (5, 5), 1.0)
    cut = CutOut(np.full((50, 70, 3), 90, np.uint8), alpha, soft=True, origin={})
    _, turned = transform(cut, 1.0, 10.0, False)
    assert turned.sum() == pytest.approx(alpha.sum(), rel=0.01)
    assert turned.shape[0] > 40


def test_cut_from_photo_erodes_the_fringe() -> None:
    mask = np.zeros((30, 30), bool)
    mask[0:20, 5:25] = True
    rgb = np.arange(30 * 30 * 3, dtype=np.uint8).reshape(30, 30, 3)
    cut, alpha = cut_from_photo(rgb, mask, 1)
    assert alpha.shape == (20, 20)
    assert alpha.sum() == 18 * 18
    assert (cut == rgb[0:20, 5:25]).all()


def test_harmonise_moves_towards_the_scene_within_limits() -> None:
    rng = np.random.default_rng(1)
    dark = np.clip(rng.normal(50, 8, (60, 60, 3)), 0, 255).astype(np.uint8)
    bright = np.clip(rng.normal(190, 8, (20, 20, 3)), 0, 255).astype(np.uint8)
    patch = Patch(bright, np.ones((20, 20), np.float32), 20, 20)
    assert harmonise(patch, dark, 0.0) is patch
    means = [harmonise(patch, dark, s).rgb.mean() for s in (0.1, 0.3, 1.0)]
    assert bright.mean() > means[0] > means[1]
    assert means[2] < means[1] + 3  # the limit
    assert means[2] > 140  # it keeps its own look
    assert (harmonise(patch, dark, 1.0).alpha == patch.alpha).all()
