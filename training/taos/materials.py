# SPDX-License-Identifier: Apache-2.0
"""Draws targets, occluders and backgrounds from the sources of a run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from training.taos.blend import cut_from_photo
from training.taos.config import TaosConfig
from training.taos.pieces import largest_piece_share
from training.taos.sources.base import CutOutSource, PhotoSource, Source
from training.taos.target_filter import cheap_reason, mask_reason
from training.taos.types import CutOut, Photo, PhotoObject
from training.untrusted import RejectedError

_CACHED_PHOTOS = 160
_CACHED_VERDICTS = 500_000
_MIN_OCCLUDER_AREA = 24 * 24
_OCCLUDER_PHOTOS = 6
_ERODE_PX = 1


@dataclass(frozen=True, eq=False)
class PhotoTarget:
    """A photo object that passed the target filter, in its place."""

    photo: Photo
    item: PhotoObject
    mask: np.ndarray

    def as_cut_out(self) -> CutOut:
        """The object cut free of its photo (for clips, where it moves)."""
        rgb, alpha = cut_from_photo(self.photo.read_rgb(), self.mask, _ERODE_PX)
        return CutOut(rgb, alpha, soft=False, origin=self.origin)

    @property
    def origin(self) -> dict[str, Any]:
        """Provenance of the object."""
        return _object_origin(self.photo, self.item)


class Materials:
    """All sources of a run, bound to the records that one output shard may use."""

    def __init__(
        self, sources: Sequence[Source], weights: Sequence[float], config: TaosConfig
    ) -> None:
        """Keeps the sources; `bind` must be called before anything is drawn."""
        self._sources = tuple(sources)
        self._weights = np.asarray(weights, np.float64) / np.sum(weights)
        self._config = config
        self._pools: list[Sequence[Hashable]] = []
        self._photos: OrderedDict[Hashable, Photo] = OrderedDict()
        self._verdicts: dict[Hashable, str] = {}

    def bind(self, shard: int) -> None:
        """Chooses the records for output shard `shard`."""
        self._pools = [source.pool(shard) for source in self._sources]
        if len(self._verdicts) > _CACHED_VERDICTS:
            self._verdicts.clear()

    def draw_target(self, rng: np.random.Generator) -> PhotoTarget | CutOut:
        """A target: an uncut photo object in its place, or a whole cut-out.

        Raises:
            RejectedError: if the photo drawn has no object that will do.
            CorruptRecordError: if the record drawn cannot be read.
        """
        number = int(rng.choice(len(self._sources), p=self._weights))
        source = self._sources[number]
        if isinstance(source, CutOutSource):
            return source.cut_out(self._key(rng, number))
        key = self._key(rng, number)
        photo = self._photo(number, key)
        reason = "photo_without_objects"
        for index in rng.permutation(len(photo.objects)):
            item = photo.objects[index]
            verdict_key = (number, key, int(index))
            if self._verdicts.get(verdict_key):
                reason = self._verdicts[verdict_key]
                continue
            reason = cheap_reason(photo, item, self._config)
            mask = None
            if not reason:
                mask = item.rasterise(photo.hw)
                if verdict_key not in self._verdicts:
                    reason = mask_reason(photo, item, mask, self._config)
            self._verdicts[verdict_key] = reason
            if not reason and mask is not None:
                return PhotoTarget(photo, item, mask)
        raise RejectedError(reason)

    def draw_background(self, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        """A (H, W, 3) uint8 picture to paste whole objects on, and its provenance."""
        numbers = [i for i, s in enumerate(self._sources) if isinstance(s, PhotoSource)]
        if not numbers:
            return painted_background(rng, self._config.long_side), {"kind": "painted"}
        weights = self._weights[numbers] / self._weights[numbers].sum()
        number = numbers[int(rng.choice(len(numbers), p=weights))]
        photo = self._photo(number, self._key(rng, number))
        return photo.read_rgb(), dict(photo.origin)

    def draw_occluder(self, rng: np.random.Generator, other_than: str) -> CutOut:
        """An object from another image than the record `other_than`.

        Raises:
            RejectedError: if several draws give no object.
            CorruptRecordError: if the record drawn cannot be read.
        """
        for _ in range(_OCCLUDER_PHOTOS):
            number = int(rng.choice(len(self._sources), p=self._weights))
            source, key = self._sources[number], self._key(rng, number)
            if isinstance(source, CutOutSource):
                cut = source.cut_out(key)
            else:
                photo = self._photo(number, key)
                found = self._photo_occluder(rng, photo)
                if found is None:
                    continue
                cut = found
            if record_name(cut.origin) != other_than:
                return cut
        raise RejectedError("no_occluder")

    def _photo_occluder(self, rng: np.random.Generator, photo: Photo) -> CutOut | None:
        """Any object of the photo that the photo's border does not cut."""
        height, width = photo.native_hw
        scale = photo.hw[0] / height
        for index in rng.permutation(len(photo.objects))[:8]:
            item = photo.objects[index]
            x0, y0, x1, y1 = item.box_xyxy
            if min(x0, y0) < 2 or x1 > width - 2 or y1 > height - 2:
                continue
            if not _MIN_OCCLUDER_AREA <= item.area * scale**2 <= 0.6 * photo.hw[0] * photo.hw[1]:
                continue
            mask = item.rasterise(photo.hw)
            if largest_piece_share(mask) < 0.95:
                continue
            rgb, alpha = cut_from_photo(photo.read_rgb(), mask, _ERODE_PX)
            if np.count_nonzero(alpha) >= _MIN_OCCLUDER_AREA // 2:
                return CutOut(rgb, alpha, soft=False, origin=_object_origin(photo, item))
        return None

    def _key(self, rng: np.random.Generator, number: int) -> Hashable:
        pool = self._pools[number]
        return pool[int(rng.integers(len(pool)))]

    def _photo(self, number: int, key: Hashable) -> Photo:
        source = self._sources[number]
        if not isinstance(source, PhotoSource):
            raise TypeError(f"source {source.spec} holds cut-outs, not photos")
        cached = self._photos.get((number, key))
        if cached is None:
            cached = source.photo(key, self._config.long_side)
            self._photos[(number, key)] = cached
            if len(self._photos) > _CACHED_PHOTOS:
                self._photos.popitem(last=False)
        else:
            self._photos.move_to_end((number, key))
        return cached


def record_name(origin: Mapping[str, Any]) -> str:
    """Identity of the image an object came from."""
    return f"{origin.get('source')}|{origin.get('file', '')}|{origin.get('record')}"


def painted_background(rng: np.random.Generator, long_side: int) -> np.ndarray:
    """A seeded wall and table of smooth colours and grain, where no photo is at hand."""
    height, width = max(8, long_side * 3 // 4), max(8, long_side)
    horizon = int(height * rng.uniform(0.3, 0.7))
    image = np.empty((height, width, 3), np.float32)
    for rows in (slice(0, horizon), slice(horizon, height)):
        tone = rng.uniform(60, 215) + rng.uniform(-25, 25, 3)
        clouds = rng.normal(0.0, 14.0, (4, 6, 1)) + rng.normal(0.0, 4.0, (4, 6, 3))
        size = (width, rows.stop - rows.start)
        image[rows] = tone + cv2.resize(clouds.astype(np.float32), size, None, 0, 0, 2)
    image += rng.normal(0.0, rng.uniform(1.0, 6.0), (height, width, 1))
    return np.clip(image, 0, 255).astype(np.uint8)


def _object_origin(photo: Photo, item: PhotoObject) -> dict[str, Any]:
    return {**photo.origin, "object": item.object_id, "category": item.category}
