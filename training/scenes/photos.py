# SPDX-License-Identifier: Apache-2.0
"""Crops of photos: as they are, as materials, and for what is behind everything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.meshes import Rng
from training.untrusted import decode_rgb, image_hw, read_bytes

Image = NDArray[np.uint8]


class Photos:
    """Draws from a folder's photos."""

    def __init__(self, photos: Sequence[Path] = ()) -> None:
        self._photos = photos

    def photo(self, rng: Rng, side: int) -> Image:
        """(side, side, 3) uint8: a random square of a random photo."""
        image = self._any_photo(rng)
        size = int(min(image.shape[:2]) * rng.uniform(0.4, 1.0))
        crop = _crop(image, size, rng)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        return cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)

    def backdrop(self, rng: Rng) -> Image | None:
        """(H, W, 3) uint8: a photo for what is behind everything, out of focus or not."""
        if not self._photos:
            return None
        image = self.photo(rng, 320)
        sigma = rng.uniform(0.5, 6)
        return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8)

    def material(self, rng: Rng, side: int) -> Image:
        """(side, side, 3) uint8: a patch of a photo that looks the same all over.

        Of several patches it is the one whose parts differ least, for its contrast: wood, cloth,
        stone, grass, plaster. It is mirrored at its sides, so that repetitions have no seams.
        """
        image = self._any_photo(rng)
        best, least = image, np.inf
        for _ in range(8):
            patch = _crop(image, int(min(image.shape[:2]) * rng.uniform(0.15, 0.35)), rng)
            small = cv2.resize(patch, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
            parts = cv2.resize(small, (4, 4), interpolation=cv2.INTER_AREA)
            uneven = float(parts.std(axis=(0, 1)).mean()) / (float(small.std()) + 4.0)
            if uneven < least:
                best, least = patch, uneven
        half = cv2.resize(best, (side // 2, side // 2), interpolation=cv2.INTER_LINEAR)
        row = np.concatenate([half, half[:, ::-1]], axis=1)
        return np.concatenate([row, row[::-1]]).astype(np.uint8)

    def _any_photo(self, rng: Rng) -> Image:
        path = self._photos[int(rng.integers(len(self._photos)))]
        data = read_bytes(path, "photo")
        return decode_rgb(data, image_hw(data) or (1, 1), path, "photo")


def _crop(image: Image, size: int, rng: Rng) -> Image:
    """A random square of `size` pixels."""
    height, width = image.shape[:2]
    y, x = rng.integers(height - size + 1), rng.integers(width - size + 1)
    return image[y : y + size, x : x + size]
