# SPDX-License-Identifier: Apache-2.0
"""What a camera makes of light: exposure, colour cast, blur, small sensors, noise, compression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.rendering.shading import developed

Rng = np.random.Generator
Float = NDArray[np.float32]


def camera_effects(linear: Float, rng: Rng) -> NDArray[np.uint8]:
    """(H, W, 3) float32 linear RGB to (H, W, 3) uint8 sRGB; each effect at random."""
    value = _exposed(linear, rng)
    if rng.random() < 0.15:
        value = _moved(value, rng)
    small = rng.random() < 0.12
    hw = value.shape[:2]
    if small:  # a sensor of few pixels, its picture scaled up
        scale = rng.uniform(0.35, 0.7)
        kind = cv2.INTER_AREA if rng.random() < 0.7 else cv2.INTER_NEAREST
        size = (round(hw[1] * scale), round(hw[0] * scale))
        value = cv2.resize(value, size, interpolation=kind).astype(np.float32)
    elif rng.random() < 0.35:
        value = cv2.GaussianBlur(value, (0, 0), rng.uniform(0.3, 1.2)).astype(np.float32)
    result = _graded(developed(value).astype(np.float32), rng)
    if rng.random() < 0.7:
        result = result + 255 * _noise(result.shape, rng)
    if rng.random() < 0.3:  # sharpened by the camera, with bright rims
        soft = cv2.GaussianBlur(result, (0, 0), rng.uniform(0.7, 1.6))
        result = result + np.float32(rng.uniform(0.3, 1.5)) * (result - soft)
    image = np.clip(result + 0.5, 0, 255).astype(np.uint8)
    if small:
        image = cv2.resize(image, hw[::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    if rng.random() < 0.35:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 92))]
        data = cv2.imencode(".jpg", image, quality)[1]
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return image


def _exposed(linear: Float, rng: Rng) -> Float:
    """Brightness brought near a common level, white balance, dark corners."""
    level = np.exp(rng.normal(np.log(0.22), 0.35))
    mean = float(np.minimum(linear[::4, ::4], 3.0).mean())
    value = linear * np.float32(np.clip(level / max(mean, 0.01), 0.3, 6.0))
    value = value * (1 + rng.normal(0, 0.05, 3)).astype(np.float32)
    if rng.random() < 0.3:  # lenses are darker in the corners
        y, x = np.mgrid[-1 : 1 : value.shape[0] * 1j, -1 : 1 : value.shape[1] * 1j]
        value = value * (1 - rng.uniform(0.05, 0.3) * (x**2 + y**2)[..., None] / 2)
    return value.astype(np.float32)


def _graded(value: Float, rng: Rng) -> Float:
    """Contrast and saturation of (H, W, 3) in 0 to 255."""
    gain = rng.uniform(0.9, 1.15)
    value = (value - 110) * np.float32(gain) + np.float32(110 + rng.normal(0, 6))
    grey = value.mean(axis=2, keepdims=True)
    return (grey + (value - grey) * np.float32(rng.uniform(0.7, 1.15))).astype(np.float32)


def _moved(value: Float, rng: Rng) -> Float:
    """Blurred along a line of 3 to 15 pixels: the camera moved."""
    size = 2 * int(np.clip(rng.exponential(2.5), 1, 7)) + 1
    turn = rng.uniform(0, np.pi)
    reach = (size - 1) / 2 * np.array([np.cos(turn), np.sin(turn)])
    middle = size // 2
    kernel = np.zeros((size, size), np.float32)
    ends = [tuple(round(middle + s * v) for v in reach) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return cv2.filter2D(value, -1, kernel / kernel.sum()).astype(np.float32)


def _noise(shape: tuple[int, ...], rng: Rng) -> NDArray[np.float32]:
    sigma = np.float32(min(rng.exponential(0.012) + 0.002, 0.06))
    grain = rng.standard_normal(shape[:2] if rng.random() < 0.5 else shape, dtype=np.float32)
    return sigma * (grain if grain.ndim == 3 else grain[..., None])
