# SPDX-License-Identifier: Apache-2.0
"""From where a scene is looked at, and what a camera makes of its light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.rendering.camera import Camera
from training.rendering.shading import developed
from training.scenes.meshes import Array, Rng
from training.scenes.placement import Placed

HW = (480, 640)
"""Height and width of the pictures, pixels."""
_AROUND = 0.6
_NARROW_DEG = 100.0
_FROM_ABOVE = 0.3


@dataclass(frozen=True)
class View:
    """A free camera: see MuJoCo's `mjvCamera`; degrees and metres, `roll` about the view axis."""

    lookat: tuple[float, float, float]
    distance: float
    azimuth: float
    elevation: float
    fovy: float
    roll: float

    def eye(self) -> Array:
        """(3,) position of the camera, metres."""
        return np.array(self.lookat) - self.distance * self._ahead()

    def camera(self) -> Camera:
        """The same as a camera with its axes."""
        ahead = self._ahead()
        right = np.array([ahead[1], -ahead[0], 0.0]) / np.hypot(ahead[0], ahead[1])
        turn = np.radians(self.roll)
        up = np.cos(turn) * np.cross(right, ahead) - np.sin(turn) * right
        return Camera(self.eye(), ahead, up, self.fovy)

    def _ahead(self) -> Array:
        turn, tilt = np.radians(self.azimuth), np.radians(self.elevation)
        return np.array([np.cos(tilt) * np.cos(turn), np.cos(tilt) * np.sin(turn), np.sin(tilt)])


def draw_views(placed: Sequence[Placed], count: int, rng: Rng) -> list[View]:
    """Cameras all around the group or on one side of it; some near, some far, some from above."""
    points = np.concatenate(
        [item.prop.points()[::7] @ item.rotation.T + item.position for item in placed]
    )
    low, high = np.percentile(points, [3, 97], axis=0)
    arc = 360.0 if rng.random() < _AROUND else _NARROW_DEG
    start = rng.uniform(0, 360)
    turns = start + arc * (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count
    return [_view(low, high, float(turn), rng) for turn in turns]


def _view(low: Array, high: Array, azimuth: float, rng: Rng) -> View:
    aside = rng.choice([0.1, 0.3])
    lookat = (low + high) / 2 + rng.normal(0, aside, 3) * (high - low) * (1, 1, 0.5)
    reach = float(np.linalg.norm(high - low)) / 2
    fovy = rng.uniform(30, 60)
    fill = np.exp(rng.normal(-0.2, 0.3)) if rng.random() < 0.85 else rng.uniform(1.2, 3.0)
    distance = reach / np.tan(np.radians(fovy / 2)) * fill
    steep = rng.uniform(50, 88) if rng.random() < _FROM_ABOVE else 10 + 50 * rng.beta(1.3, 1.6)
    return View(
        lookat=(float(lookat[0]), float(lookat[1]), float(lookat[2])),
        distance=float(np.clip(distance, 0.3, 3.5)),
        azimuth=azimuth,
        elevation=-float(steep),
        fovy=float(fovy),
        roll=float(rng.normal(0, 2.5) if rng.random() < 0.85 else rng.normal(0, 20)),
    )


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
