# SPDX-License-Identifier: Apache-2.0
"""Environment maps: what light comes from where, and what smooth surfaces mirror.

Directions are mapped onto squares by the octahedral map (Cigolle et al. 2014, "A survey of
efficient representations for independent unit vectors"), which needs no trigonometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Rng = np.random.Generator

_STUDIO = 0.3
"""Of the lights that `Lights` draws are made-up rooms."""
SIDE = 96
"""Of the squares that hold a sphere of directions, pixels."""
ROUGHNESS = (0.05, 0.2, 0.45, 0.8)
"""What the mirror squares are made for; each blurs more."""
_ROW = 512
_BRIGHTEST = 100.0
"""What is mirrored or seen is at most this many times the median."""


def look_up(squares: Float, directions: Float, level: Float | None = None) -> Float:
    """(..., 3) values of squares of directions (levels * SIDE, SIDE, 3).

    Args:
        squares: one under the other.
        directions: (..., 3) unit vectors.
        level: (...) number of the square, whole; None: there is one.
    """
    if not directions.size:  # OpenCV refuses an empty table
        return np.zeros(directions.shape, np.float32)
    size = np.abs(directions).sum(axis=-1, keepdims=True)
    flat = directions[..., :2] / np.maximum(size, np.float32(1e-6))
    folded = (1 - np.abs(flat[..., ::-1])) * np.where(flat >= 0, np.float32(1), np.float32(-1))
    flat = np.where(directions[..., 2:] < 0, folded, flat)
    flat = (flat * np.float32(0.5) + np.float32(0.5)) * np.float32(SIDE - 1)
    if level is not None:
        flat[..., 1] += level * np.float32(SIDE)
    count = flat.size // 2
    table = np.zeros((-(-count // _ROW), _ROW, 2), np.float32)  # rows of OpenCV's are short
    table.reshape(-1, 2)[:count] = flat.reshape(-1, 2)
    x, y = cv2.split(table)
    found = cv2.remap(squares, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(-1, 3)[:count].reshape(directions.shape).astype(np.float32)


def _square_directions(side: int) -> Float:
    """(side, side, 3) unit vector of each pixel of a square."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    z = 1 - np.abs(x) - np.abs(y)
    below = z < 0
    flat = np.stack([x, y], axis=2)
    folded = (1 - np.abs(flat[..., ::-1])) * np.where(flat >= 0, 1, -1)
    flat = np.where(below[..., None], folded, flat)
    vectors = np.concatenate([flat, z[..., None]], axis=2).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=2, keepdims=True)


@dataclass(frozen=True, eq=False)
class Environment:
    """Light from all around.

    Attributes:
        panorama: (H, W, 3) float32 linear RGB, z up, azimuth from -180 to 180 degrees.
        irradiance: (SIDE, SIDE, 3) what a surface of each normal receives, over pi.
        mirrors: (levels * SIDE, SIDE, 3) what it mirrors, a square for each of `ROUGHNESS`.
        sun: (3,) unit vector towards the brightest place.
        sun_radiance: (3,) irradiance over pi of a surface that faces it.
    """

    panorama: Float
    irradiance: Float
    mirrors: Float
    sun: Float
    sun_radiance: Float

    def towards(self, directions: Float) -> Float:
        """(H, W, 3) radiance from (H, W, 3) unit vectors."""
        height, width = self.panorama.shape[:2]
        x, y, z = (np.ascontiguousarray(directions[..., k]) for k in range(3))
        column = cv2.phase(x, y) * np.float32(width / (2 * np.pi)) - 0.5
        row = np.arccos(np.clip(z, -1, 1)) * np.float32(height / np.pi) - 0.5
        return cv2.remap(
            self.panorama, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        ).astype(np.float32)


def load_panorama(path: Path) -> Float:
    """(H, W, 3) float32 linear RGB of a map that `scripts.fetch_environments` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["radiance"].astype(np.float32)


def studio_panorama(rng: Rng, height: int = 64) -> Float:
    """(H, 2 H, 3) a made-up room: a graded sky or ceiling with lamps and windows."""
    up = np.linspace(1, -1, height, dtype=np.float32)[:, None, None]
    warm = 1 + rng.normal(0, 0.08) * np.array([1, 0, -1], np.float32)
    ceiling, ground = rng.uniform(0.3, 1.2), rng.uniform(0.1, 0.5)
    value = np.where(up > 0, 0.4 + (ceiling - 0.4) * up, 0.4 + (0.4 - ground) * up) * warm
    image = np.repeat(value, 2 * height, axis=1).astype(np.float32)
    for _ in range(int(rng.integers(1, 5))):
        x, y = int(rng.integers(0, 2 * height)), int(height * rng.uniform(0.05, 0.48))
        half = rng.integers(1, height // 6, 2)
        tint = 1 + rng.normal(0, 0.1) * np.array([1, 0, -1])
        ink = tuple(float(v) for v in rng.uniform(2, 30) * tint)
        low, high = (x - int(half[0]), y - int(half[1])), (x + int(half[0]), y + int(half[1]))
        cv2.rectangle(image, low, high, ink, -1)
    return image


def make_environment(
    panorama: Float, turn_deg: float, ground: Float, contrast: float = 1.0
) -> Environment:
    """Prepare a panorama for shading.

    Args:
        panorama: (H, W, 3) float32 linear RGB.
        turn_deg: rotation about the vertical, degrees.
        ground: (3,) albedo of the table: below the horizon surfaces mirror it.
        contrast: the brightest light's strength is multiplied with it.
    """
    shift = round(turn_deg / 360 * panorama.shape[1])
    image = np.roll(panorama, shift, axis=1)
    small = cv2.resize(image, (64, 32), interpolation=cv2.INTER_AREA)
    directions, weight = _panorama_directions(32)
    light = small.reshape(-1, 3) * weight[:, None]
    sun = _brightest(light, directions)
    near = (directions @ sun > 0.93) & (light.mean(axis=1) > 2 * light.mean())
    sun_light = light[near].sum(axis=0) * contrast
    rest = np.where(near[:, None], 0, light)
    squares = _square_directions(SIDE).reshape(-1, 3)
    square = cv2.resize(_square_directions(24), (24, 24)).reshape(-1, 3)
    cosine = np.maximum(square @ directions.T, 0)
    irradiance = cosine @ rest / np.pi
    image = np.minimum(image, np.float32(_BRIGHTEST * np.median(image.mean(axis=2))))
    up = irradiance[np.argmax(square[:, 2])] + sun_light / np.pi * max(float(sun[2]), 0)
    gain = np.float32(0.75 / max(float(up.mean()), 1e-6))
    below = np.clip(-square[:, 2:], 0, 1) * (ground * up)[None] * 0.7
    irradiance = (irradiance * np.clip(0.75 + square[:, 2:], 0, 1) + below) * gain
    mirrors = _mirrors(image, squares, ground * up) * gain
    return Environment(
        panorama=image * gain,
        irradiance=cv2.resize(irradiance.reshape(24, 24, 3), (SIDE, SIDE)).astype(np.float32),
        mirrors=mirrors.astype(np.float32),
        sun=sun.astype(np.float32),
        sun_radiance=(sun_light / np.pi * gain).astype(np.float32),
    )


def _mirrors(image: Float, directions: Float, ground: Float) -> Float:
    """Squares of a panorama blurred more and more, the lower half replaced by the ground."""
    height = 128
    scaled = cv2.resize(image, (2 * height, height), interpolation=cv2.INTER_AREA)
    lower = np.linspace(1, -1, height, dtype=np.float32)[:, None, None] < -0.02
    scaled = np.where(lower, ground.astype(np.float32), scaled)
    rows = np.arccos(np.clip(directions[:, 2], -1, 1)) * height / np.pi - 0.5
    turn = np.arctan2(directions[:, 1], directions[:, 0]) % (2 * np.pi)
    columns = turn * height / np.pi - 0.5
    x, y = (v.reshape(SIDE, SIDE).astype(np.float32) for v in (columns, rows))
    squares = []
    for roughness in ROUGHNESS:
        sigma = height * (0.005 + 0.2 * roughness**1.5)
        wide = np.concatenate([scaled, scaled, scaled], axis=1)
        blurred = cv2.GaussianBlur(wide, (0, 0), sigma)[:, 2 * height : 4 * height]
        squares.append(cv2.remap(blurred, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))
    return np.concatenate(squares)


def _panorama_directions(height: int) -> tuple[Float, Float]:
    """(P, 3) unit vectors of a panorama's pixels and (P,) their solid angles."""
    polar = np.pi * (np.arange(height) + 0.5) / height
    around = np.pi * (np.arange(2 * height) + 0.5) / height
    sine, cosine = np.sin(polar)[:, None], np.cos(polar)[:, None]
    x, y, z = np.broadcast_arrays(sine * np.cos(around), sine * np.sin(around), cosine)
    solid = np.broadcast_to(sine * (np.pi / height) ** 2, x.shape)
    directions = np.stack([x, y, z], axis=2).reshape(-1, 3).astype(np.float32)
    return directions, solid.reshape(-1).astype(np.float32)


def _brightest(light: Float, directions: Float) -> Float:
    """Unit vector towards the most light above the horizon, at least 20 degrees up."""
    power = np.where(directions[:, 2] > 0.1, light.mean(axis=1), 0)
    around = power @ np.maximum(directions @ directions.T - 0.9, 0)
    sun = directions[int(np.argmax(np.where(directions[:, 2] > 0.1, around, 0)))].copy()
    sun[2] = max(float(sun[2]), 0.35)
    return sun / np.linalg.norm(sun)


class Lights:
    """Draws environments."""

    def __init__(self, maps: Sequence[Path] = ()) -> None:
        """Read the maps; without any, all rooms are made up."""
        self._panoramas = [load_panorama(path) for path in maps]

    def draw(self, ground: Float, rng: Rng) -> Environment:
        """One map, turned, its main light stronger or weaker than it was.

        Args:
            ground: (3,) linear colour of the table.
            rng: for the choice.
        """
        panoramas = self._panoramas
        if panoramas and rng.random() > _STUDIO:
            panorama = panoramas[int(rng.integers(len(panoramas)))]
        else:
            panorama = studio_panorama(rng)
        contrast = float(np.exp(rng.normal(0.0, 0.6)))
        return make_environment(panorama, float(rng.uniform(0, 360)), ground, contrast)
