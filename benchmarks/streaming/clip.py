# SPDX-License-Identifier: Apache-2.0
"""Four copies of the demo clip in one picture: up to 24 moving objects with their true masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from amodal_ros.annotations.amodal_coco import load_annotations
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_box
from amodal_ros.image.rle import decode_rle
from amodal_ros.ros.demo.sources import CLIP_ANNOTATIONS, CLIP_VIDEO, open_source

FPS = 12.0  # of the clip
TILES = ((0, 0), (0, 1), (1, 0), (1, 1))  # rows and columns
LEAST_PX = 40  # as in the other benchmarks: less cannot be prompted


@dataclass(frozen=True, eq=False)
class Truth:
    """An object in one frame; masks (H, W) bool of the whole picture."""

    visible: np.ndarray
    amodal: np.ndarray

    @property
    def hidden(self) -> np.ndarray:
        """Amodal and not visible."""
        return self.amodal & ~self.visible


class Mosaic:
    """The clip four times, each copy at another time of it, every other one mirrored.

    It runs forwards, then backwards, and so on: nothing jumps.

    Args:
        objects: how many are asked about: those of the first copy, then of the next.

    Raises:
        InvalidInputError: for more objects than there are, or none.
    """

    def __init__(self, objects: int) -> None:
        annotations = load_annotations(CLIP_ANNOTATIONS)
        self._frames = list(open_source(str(CLIP_VIDEO)).frames())
        self._records: dict[tuple[int, str], Mapping[str, object]] = {
            (int(record["image_id"]) - 1, str(record["name"])): record
            for record in annotations["annotations"]
        }
        names = list(dict.fromkeys(name for _, name in self._records))
        wanted = [(tile, name) for tile in range(len(TILES)) for name in names]
        if not 1 <= objects <= len(wanted):
            raise InvalidInputError(f"objects: expected 1 to {len(wanted)}, got {objects}")
        self._objects = wanted[:objects]

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the picture."""
        height, width = self._frames[0].shape[:2]
        return 2 * height, 2 * width

    def number_at(self, seconds: float) -> int:
        """Which frame is shown at a time."""
        return int(seconds * FPS + 1e-6)

    def picture(self, number: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        rows = [
            [self._tile(number, TILES.index((row, column))) for column in (0, 1)] for row in (0, 1)
        ]
        return np.concatenate([np.concatenate(row, axis=1) for row in rows])

    def boxes(self, number: int) -> dict[str, tuple[int, int, int, int]]:
        """Boxes of what is visible of the objects, by name, where enough is."""
        truths = self.truths(number)
        return {
            name: mask_box(truth.visible)
            for name, truth in truths.items()
            if np.count_nonzero(truth.visible) >= LEAST_PX
        }

    def truths(self, number: int) -> dict[str, Truth]:
        """The true masks of the objects that are in the picture, by name."""
        found = {}
        for tile, name in self._objects:
            record = self._records.get((self._index(number, tile), name))
            if record is not None:
                visible, amodal = (
                    self._placed(decode_rle(record[key]), tile)  # type: ignore[arg-type]
                    for key in ("visible_mask", "segmentation")
                )
                found[f"{tile}.{name}"] = Truth(visible & amodal, amodal)
        return found

    def _index(self, number: int, tile: int) -> int:
        """The clip's frame in a copy: there and back."""
        last = len(self._frames) - 1
        place = (number + tile * len(self._frames) // len(TILES)) % (2 * last)
        return min(place, 2 * last - place)

    def _tile(self, number: int, tile: int) -> np.ndarray:
        frame = self._frames[self._index(number, tile)]
        return frame[:, ::-1] if tile % 2 else frame

    def _placed(self, mask: np.ndarray, tile: int) -> np.ndarray:
        whole = np.zeros(self.hw, bool)
        (row, column), (height, width) = TILES[tile], mask.shape
        part = mask[:, ::-1] if tile % 2 else mask
        whole[row * height : (row + 1) * height, column * width : (column + 1) * width] = part
        return whole
