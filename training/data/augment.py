# SPDX-License-Identifier: Apache-2.0
"""Changes of a picture that leave its masks where they are: light, colour, sharpness, noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def photometric(
    image: NDArray[np.uint8], original: NDArray[np.uint8] | None, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Change the look of an image, and of its unoccluded original alike.

    Args:
        image: (H, W, 3) uint8 RGB.
        original: the same or None.
        rng: the only source of randomness.

    Returns:
        Both, changed.
    """
    table = _light_and_colour(rng)
    images: list[NDArray[np.uint8]] = [image] if original is None else [image, original]
    images = [_look_up(picture, table) for picture in images]
    if rng.random() < 0.3:
        sigma = rng.uniform(0.4, 1.4)
        images = [_blur(picture, sigma) for picture in images]
    if rng.random() < 0.3:
        noise = rng.normal(0.0, rng.uniform(2.0, 8.0), size=(*image.shape[:2], 1))
        images = [_add(picture, noise) for picture in images]
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))]
        images = [_jpeg(picture, quality) for picture in images]
    if rng.random() < 0.05:
        images = [_grey(picture) for picture in images]
    return images[0], None if original is None else images[1]


def _light_and_colour(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A look-up table (256, 3): gamma, contrast, brightness, white balance."""
    levels = np.linspace(0.0, 1.0, 256)[:, None]
    gamma = np.exp(rng.normal(0.0, 0.2))
    contrast, brightness = np.exp(rng.normal(0.0, 0.15)), rng.normal(0.0, 0.06)
    balance = np.exp(rng.normal(0.0, 0.06, size=3))[None]
    changed = ((levels**gamma - 0.5) * contrast + 0.5 + brightness) * balance
    return np.clip(np.rint(changed * 255), 0, 255).astype(np.uint8)


def _look_up(image: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), table[None]), dtype=np.uint8)


def _blur(image: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


def _add(image: NDArray[np.uint8], noise: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def _jpeg(image: NDArray[np.uint8], options: list[int]) -> NDArray[np.uint8]:
    done, data = cv2.imencode(".jpg", image, options)
    if not done:
        raise OSError(f"OpenCV could not encode a {image.shape} image as JPEG")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
