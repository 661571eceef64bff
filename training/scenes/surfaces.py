# SPDX-License-Identifier: Apache-2.0
"""Procedural textures, and crops of photos among them where a folder of photos is given."""

from __future__ import annotations

import colorsys
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.meshes import Rng
from training.scenes.photos import Image, Photos

Float = NDArray[np.float32]
Values = NDArray[np.floating]

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
)
_LETTERS = "ABCDEFGHIJKLMNOPRSTUVWZaeioumnrst0123456789"


def colour(rng: Rng) -> Float:
    """(3,) RGB in [0, 1]: a third of them nearly grey, some dark, the others of any hue."""
    kind = rng.random()
    if kind < 0.35:
        level = rng.choice([rng.uniform(0.05, 0.2), rng.uniform(0.2, 0.7), rng.uniform(0.7, 0.97)])
        tint = rng.normal(0, 0.02, 3)
        return np.clip(level + tint, 0.02, 1).astype(np.float32)
    saturation = rng.uniform(0.25, 0.6) if kind < 0.65 else rng.uniform(0.6, 1.0)
    return np.array(
        colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.3, 1.0)), np.float32
    )


def muted(rng: Rng) -> Float:
    """(3,) RGB as most real things have it: white, grey, black, brown, or a dull colour."""
    kind = rng.random()
    if kind < 0.5:
        level = rng.choice(
            [rng.uniform(0.03, 0.15), rng.uniform(0.2, 0.6), rng.uniform(0.75, 0.97)]
        )
        return np.clip(level * (1 + rng.normal(0, 0.03, 3)), 0.02, 1).astype(np.float32)
    if kind < 0.68:
        hue, saturation = rng.uniform(0.03, 0.13), rng.uniform(0.15, 0.6)
    else:
        hue, saturation = rng.random(), rng.uniform(0.2, 0.75 if kind < 0.9 else 0.95)
    value = rng.uniform(0.15, 0.9)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def calm(image: Image, rng: Rng) -> Image:
    """Most tables, floors and walls have no loud colours: less saturated, closer to mid-tones."""
    if rng.random() < 0.1:
        return image
    value = image.astype(np.float32)
    grey = value.mean(axis=2, keepdims=True)
    value = grey + (value - grey) * rng.uniform(0.05, 0.5)
    level = float(value.mean())
    value = (value - level) * rng.uniform(0.3, 0.9) + np.clip(level, 50, 215)
    return np.clip(value, 0, 255).astype(np.uint8)


def noise(rng: Rng, hw: tuple[int, int], cells: tuple[int, int], octaves: int = 4) -> Float:
    """(H, W) float32 in [0, 1]: each octave is twice as fine and half as strong."""
    total = np.zeros(hw, np.float32)
    for octave in range(octaves):
        size = (min(cells[0] << octave, hw[0]), min(cells[1] << octave, hw[1]))
        coarse = rng.random(size, dtype=np.float32)
        total += cv2.resize(coarse, hw[::-1], interpolation=cv2.INTER_CUBIC) / (1 << octave)
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


class Surfaces(Photos):
    """Draws textures; photos are among them if there are any."""

    def ground(self, rng: Rng, side: int) -> Image:
        """(side, side, 3) uint8: a table or a floor."""
        kinds = [
            _wood,
            _wood,
            _wood,
            _tiles,
            _speckle,
            _speckle,
            _cloth,
            _stripes,
            _checks,
            _plain,
        ]
        if self._photos and rng.random() < 0.5:
            return self.material(rng, side)
        return calm(kinds[rng.integers(len(kinds))](rng, side), rng)

    def wall(self, rng: Rng, side: int) -> Image:
        """(side, side, 3) uint8: a wall, or a photo in its place."""
        kinds = [_plain, _plain, _speckle, _stripes, _tiles, _wood, _gradient]
        if self._photos and rng.random() < 0.5:
            return self.photo(rng, side) if rng.random() < 0.6 else self.material(rng, side)
        return calm(kinds[rng.integers(len(kinds))](rng, side), rng)

    def wood(self, rng: Rng, side: int) -> Image:
        """(side, side, 3) uint8: wood, the grain along the texture's first axis."""
        return _wood(rng, side)

    def skin(self, rng: Rng, side: int) -> Image:
        """(side, side, 3) uint8: what an object may be covered with."""
        kinds = [_speckle, _stripes, _checks, _gradient, _dots, _wood, _cloth, _mosaic, _spots]
        if self._photos and rng.random() < 0.4:
            return self.photo(rng, side) if rng.random() < 0.4 else self.material(rng, side)
        return kinds[rng.integers(len(kinds))](rng, side)

    def label(self, rng: Rng, side: int) -> Image:
        """(side, side, 3) uint8: a printed label with fields, lettering and small print."""
        base = self.skin(rng, side) if rng.random() < 0.35 else _plain(rng, side)
        image = base.copy()
        for _ in range(int(rng.integers(1, 5))):
            ink = _byte(colour(rng))
            low, high = sorted(int(v) for v in rng.integers(0, side, 2))
            left, right = sorted(int(v) for v in rng.integers(0, side, 2))
            kind = rng.integers(4)
            if kind == 0:
                cv2.rectangle(image, (0, low), (side, high), ink, -1)
            elif kind == 1:
                cv2.rectangle(image, (left, low), (right, high), ink, -1)
            elif kind == 2:
                radius = int(rng.integers(side // 12, side // 4))
                cv2.circle(image, (left, low), radius, ink, -1, cv2.LINE_AA)
            else:
                corners = rng.integers(0, side, (3, 2)).astype(np.int32)
                cv2.fillConvexPoly(image, corners, ink, cv2.LINE_AA)
        if self._photos and rng.random() < 0.3:
            width = int(side * rng.uniform(0.3, 0.7))
            x, y = rng.integers(0, side - width, 2)
            image[y : y + width, x : x + width] = self.photo(rng, width)
        for _ in range(int(rng.integers(1, 5))):
            _write(rng, image)
        return image


def _byte(value: Float) -> tuple[int, int, int]:
    red, green, blue = (int(v * 255) for v in value)
    return red, green, blue


def _mix(amount: Values, first: Values, second: Values) -> Image:
    """(H, W) in [0, 1] from one colour to another."""
    weight = np.clip(amount, 0, 1)[..., None]
    return ((first * (1 - weight) + second * weight) * 255).astype(np.uint8)


def _near(rng: Rng, base: Float, reach: float) -> Float:
    """A colour lighter or darker than `base`."""
    return np.clip(
        base * rng.uniform(1 - reach, 1 + reach) + rng.normal(0, 0.04, 3), 0.02, 1
    ).astype(np.float32)


def _plain(rng: Rng, side: int) -> Image:
    base = colour(rng)
    return _mix(noise(rng, (side, side), (3, 3), 3), base, _near(rng, base, 0.12))


def _speckle(rng: Rng, side: int) -> Image:
    base = colour(rng)
    cells = int(rng.integers(2, 64))
    sharp = rng.uniform(1, 6)
    value = (noise(rng, (side, side), (cells, cells), 5) - 0.5) * sharp + 0.5
    return _mix(value, base, _near(rng, base, rng.uniform(0.1, 0.7)))


def _wood(rng: Rng, side: int) -> Image:
    dark = np.array(
        colorsys.hsv_to_rgb(rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.7), rng.uniform(0.15, 0.6))
    )
    light = np.clip(dark * rng.uniform(1.2, 1.9), 0, 1)
    boards = int(rng.choice([1, 1, 3, 5, 8]))
    image = np.empty((side, side, 3), np.uint8)
    edges = np.linspace(0, side, boards + 1).astype(int)
    for top, bottom in pairwise(edges):
        hw = (int(bottom - top), side)
        across = np.linspace(0, rng.uniform(1, 5), hw[0], dtype=np.float32)[:, None]
        rings = 0.5 + 0.5 * np.sin(
            2 * np.pi * (across + 2 * noise(rng, hw, (2, 3), 3) + rng.random())
        )
        fibre = noise(rng, hw, (max(hw[0] // 3, 1), 6), 2)
        image[top:bottom] = _mix(0.4 * rings + 0.4 * fibre + 0.25 * rng.random(), dark, light)
        if boards > 1:
            image[top : top + 2] = image[top : top + 2] // 2
    return image if rng.random() < 0.5 else image.transpose(1, 0, 2).copy()


def _tiles(rng: Rng, side: int) -> Image:
    image = _speckle(rng, side)
    count = int(rng.integers(2, 9))
    edges = np.linspace(0, side, count + 1).astype(int)[:-1]
    width = max(1, side // int(rng.integers(60, 160)))
    levels = rng.uniform(0.9, 1.1, (count, count)).astype(np.float32)
    each = cv2.resize(levels, (side, side), interpolation=cv2.INTER_NEAREST)
    image = np.clip(image * each[..., None], 0, 255).astype(np.uint8)
    joint = _byte(colour(rng))
    for edge in edges:
        image[edge : edge + width] = joint
        image[:, edge : edge + width] = joint
    return image


def _stripes(rng: Rng, side: int) -> Image:
    angle, count = rng.choice([0, 0.5, rng.random()]) * np.pi, rng.uniform(2, 20)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    wave = np.sin(2 * np.pi * count * (x * np.cos(angle) + y * np.sin(angle)))
    return _mix(wave * rng.choice([0.5, 8.0]) + 0.5, colour(rng), colour(rng))


def _checks(rng: Rng, side: int) -> Image:
    count = int(rng.integers(2, 16))
    y, x = np.mgrid[0:side, 0:side] * count // side
    soft = ((x % 2) + (y % 2)) / 2 if rng.random() < 0.5 else (x + y) % 2
    return _mix(soft.astype(np.float32), colour(rng), colour(rng))


def _gradient(rng: Rng, side: int) -> Image:
    ramp = np.repeat(np.linspace(0, 1, side, dtype=np.float32)[:, None], side, axis=1)
    ramp = ramp if rng.random() < 0.7 else ramp.T
    return _mix(ramp + 0.05 * noise(rng, (side, side), (8, 8), 3), colour(rng), colour(rng))


def _dots(rng: Rng, side: int) -> Image:
    count = int(rng.integers(3, 14))
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) * count / side % 1 - 0.5
    inside = (np.hypot(x, y) < rng.uniform(0.15, 0.4)).astype(np.float32)
    return _mix(cv2.GaussianBlur(inside, (3, 3), 0), colour(rng), colour(rng))


def _spots(rng: Rng, side: int) -> Image:
    """Marble, camouflage, rust: thresholded noise."""
    cells = int(rng.integers(2, 12))
    value = noise(rng, (side, side), (cells, cells), 4)
    return _mix(
        (value - rng.uniform(0.35, 0.65)) * rng.uniform(4, 30) + 0.5, colour(rng), colour(rng)
    )


def _cloth(rng: Rng, side: int) -> Image:
    image = (_checks, _plain, _stripes)[rng.integers(3)](rng, side).astype(np.float32)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    thread = rng.uniform(0.6, 1.5)
    weave = 1 + 0.08 * np.sin(x * thread * 1.7) + 0.08 * np.sin(y * thread * 1.7)
    return np.clip(image * weave[..., None], 0, 255).astype(np.uint8)


def _mosaic(rng: Rng, side: int) -> Image:
    image = np.full((side, side, 3), _byte(colour(rng)), np.uint8)
    for _ in range(int(rng.integers(8, 50))):
        centre, reach = rng.integers(0, side, 2), side * rng.uniform(0.05, 0.35)
        corners = centre + rng.normal(0, reach, (3, 2))
        cv2.fillConvexPoly(image, corners.astype(np.int32), _byte(colour(rng)), cv2.LINE_AA)
    return image


def _write(rng: Rng, image: Image) -> None:
    """Lettering, large or as lines of small print."""
    side = image.shape[0]
    word = "".join(rng.choice(list(_LETTERS), int(rng.integers(3, 9))))
    font, ink = int(rng.choice(_FONTS)), _byte(colour(rng))
    small = rng.random() < 0.4
    scale = side / 256 * (rng.uniform(0.25, 0.4) if small else rng.uniform(0.8, 2.2))
    x, y = int(rng.integers(0, side * 2 // 3)), int(rng.integers(side // 8, side))
    for line in range(int(rng.integers(3, 8)) if small else 1):
        place = (x, y + int(line * scale * 32))
        cv2.putText(image, word, place, font, scale, ink, 1 if small else 3, cv2.LINE_AA)
