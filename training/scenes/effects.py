# SPDX-License-Identifier: Apache-2.0
"""What a camera does to a picture: exposure, colour cast, blur, noise, compression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator


def camera_effects(image: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB to the same, mildly worse; each effect at random."""
    value = _exposed(image.astype(np.float32) / np.float32(255), rng)
    if rng.random() < 0.4:
        value = cv2.GaussianBlur(value, (0, 0), rng.uniform(0.3, 1.1)).astype(np.float32)
    if rng.random() < 0.06:
        value = _shaken(value, rng)
    if rng.random() < 0.6:
        value = value + _noise(value.shape, rng)
    result = np.clip(value * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 92))]
        data = cv2.imencode(".jpg", result, quality)[1]
        result = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return result


def _exposed(value: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    """Brightness brought near a common level, then exposure, contrast and white balance."""
    level = rng.uniform(0.35, 0.6)
    bright = float(np.percentile(value[::4, ::4], 96))
    gain = min(level / max(float(value.mean()), 0.05), rng.uniform(0.85, 1.15) / max(bright, 0.05))
    gain = float(np.clip(gain, 0.6, 3.0))
    gamma, cast = rng.uniform(0.85, 1.2), 1 + rng.normal(0, 0.05, 3)
    value = np.clip(value * gain, 0, None) ** gamma * cast
    grey = value.mean(axis=2, keepdims=True)
    value = grey + (value - grey) * rng.uniform(0.7, 1.15)
    if rng.random() < 0.3:  # lenses are darker in the corners
        y, x = np.mgrid[-1 : 1 : value.shape[0] * 1j, -1 : 1 : value.shape[1] * 1j]
        value = value * (1 - rng.uniform(0.05, 0.25) * (x**2 + y**2)[..., None] / 2)
    return value.astype(np.float32)


def _shaken(value: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    size = int(rng.choice([3, 5]))
    kernel = np.zeros((size, size), np.float32)
    end = rng.integers(0, size, 2)
    cv2.line(kernel, (int(end[0]), 0), (size - 1 - int(end[0]), size - 1), 1.0)
    kernel /= kernel.sum()
    return cv2.filter2D(value, -1, kernel if rng.random() < 0.5 else kernel.T).astype(np.float32)


def _noise(shape: tuple[int, ...], rng: Rng) -> NDArray[np.float32]:
    sigma = rng.uniform(0.003, 0.03)
    grain = rng.standard_normal(shape[:2] if rng.random() < 0.5 else shape, dtype=np.float32)
    return sigma * (grain if grain.ndim == 3 else grain[..., None])
