# SPDX-License-Identifier: Apache-2.0
"""Four clips in one picture: many moving objects with their true masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amodal_ros.annotations.amodal_coco import load_annotations
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_box
from amodal_ros.image.rle import decode_rle
from amodal_ros.ros.demo.sources import CLIP_ANNOTATIONS, CLIP_VIDEO, open_source
from benchmarks.tracking.clips import ClipFrame, find_clips

FPS = 12.0  # of the clips
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


@dataclass(frozen=True, eq=False)
class Shot:
    """What is shown in a copy.

    Attributes:
        frames: N pictures (h, w, 3) uint8 RGB.
        objects: of each frame, by name.
    """

    frames: Sequence[np.ndarray]
    objects: Sequence[Mapping[str, Truth]]

    @property
    def names(self) -> list[str]:
        """Of all objects."""
        return list(dict.fromkeys(name for found in self.objects for name in found))


def demo_shot() -> Shot:
    """The clip that comes along."""
    frames = list(open_source(str(CLIP_VIDEO)).frames())
    objects: list[dict[str, Truth]] = [{} for _ in frames]
    for record in load_annotations(CLIP_ANNOTATIONS)["annotations"]:
        visible, amodal = decode_rle(record["visible_mask"]), decode_rle(record["segmentation"])
        objects[int(record["image_id"]) - 1][str(record["name"])] = Truth(visible & amodal, amodal)
    return Shot(frames, objects)


def shots_of(folder: Path) -> list[Shot]:
    """The clips of a folder, as `benchmarks.tabletop.screened` makes them.

    Raises:
        InvalidInputError: there are none.
    """
    return [_shot(source.frames()) for source in find_clips([folder], None, 1, FPS)]


def _shot(frames: Sequence[ClipFrame]) -> Shot:
    objects = [
        {
            str(one.name): Truth(one.visible_mask & one.amodal_mask, one.amodal_mask)
            for one in frame.objects
            if one.amodal_mask is not None
        }
        for frame in frames
    ]
    return Shot([frame.image_rgb for frame in frames], objects)


class Mosaic:
    """Four clips in one picture, each copy at another time of its clip, every other one mirrored.

    They run forwards, then backwards, and so on: nothing jumps.

    Args:
        objects: how many are asked about: those of the first copy, then of the next.
        shots: of equal size; the first one again behind the last. None: the demo clip alone.

    Raises:
        InvalidInputError: for more objects than there are, or none.
    """

    def __init__(self, objects: int, shots: Sequence[Shot] | None = None) -> None:
        found = [demo_shot()] if shots is None else shots
        self._shots = [found[tile % len(found)] for tile in range(len(TILES))]
        wanted = [(tile, name) for tile, shot in enumerate(self._shots) for name in shot.names]
        if not 1 <= objects <= len(wanted):
            raise InvalidInputError(f"objects: expected 1 to {len(wanted)}, got {objects}")
        self._objects = wanted[:objects]

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the picture."""
        height, width = self._shots[0].frames[0].shape[:2]
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
            truth = self._shots[tile].objects[self._index(number, tile)].get(name)
            if truth is not None:
                visible, amodal = (self._placed(m, tile) for m in (truth.visible, truth.amodal))
                found[f"{tile}.{name}"] = Truth(visible, amodal)
        return found

    def _index(self, number: int, tile: int) -> int:
        """The clip's frame in a copy: there and back."""
        count = len(self._shots[tile].frames)
        last = count - 1
        place = (number + tile * count // len(TILES)) % (2 * last)
        return min(place, 2 * last - place)

    def _tile(self, number: int, tile: int) -> np.ndarray:
        frame = self._shots[tile].frames[self._index(number, tile)]
        return frame[:, ::-1] if tile % 2 else frame

    def _placed(self, mask: np.ndarray, tile: int) -> np.ndarray:
        whole = np.zeros(self.hw, bool)
        (row, column), (height, width) = TILES[tile], mask.shape
        part = mask[:, ::-1] if tile % 2 else mask
        whole[row * height : (row + 1) * height, column * width : (column + 1) * width] = part
        return whole
