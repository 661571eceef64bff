# SPDX-License-Identifier: Apache-2.0
"""Draws targets, occluders and backgrounds from the sources of a run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from training.taos.blend import cut_from_photo, transform
from training.taos.config import TaosConfig
from training.taos.sources.base import CutOutSource, PhotoSource, Source
from training.taos.target_filter import cheap_reason, largest_piece_share, mask_reason
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


def move_cut_out(
    rng: np.random.Generator, cut: CutOut, scale: float, config: TaosConfig
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Mirrors and rotates at random, scales as told; returns rgb, alpha and what was done."""
    flip = bool(rng.random() < 0.5)
    turned = rng.random() < 0.5
    angle = float(rng.uniform(-config.rotation_deg, config.rotation_deg)) if turned else 0.0
    rgb, alpha = transform(cut, scale, angle, flip)
    move = {"scale": round(scale, 5), "rotation_deg": round(angle, 3), "flip": flip}
    return rgb, alpha, move


def draw_patch(
    rng: np.random.Generator,
    materials: Materials,
    config: TaosConfig,
    target_area: int,
    record: str,
    cover: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """An occluder (or part of one) from another image, of suitable size for the target.

    Args:
        rng: of this attempt.
        materials: sources to draw from.
        config: settings.
        target_area: in pixels.
        record: the target's image, which the occluder must not come from.
        cover: share of the target it is to cover; it is not made smaller than that needs.

    Returns:
        rgb (h, w, 3) uint8, alpha (h, w) float32, provenance.

    Raises:
        RejectedError: if the object would have to be enlarged too much.
    """
    cut = materials.draw_occluder(rng, other_than=record)
    part = None
    if rng.random() < config.part_share:
        cut, part = take_part(rng, cut)
    low, high = config.occluder_ratio
    low = min(max(low, 1.15 * cover), high)
    possible = config.max_upscale**2 * cut.area / target_area
    if possible < low:
        raise RejectedError("occluder_small")
    ratio = float(rng.uniform(low, min(high, possible)))
    scale = float(np.sqrt(ratio * target_area / cut.area))
    rgb, alpha, move = move_cut_out(rng, cut, scale, config)
    real = float(np.count_nonzero(alpha > 0.5)) / target_area
    if not low * 0.95 <= real <= high * 1.05:
        raise RejectedError("occluder_size")
    return rgb, alpha, {**cut.origin, "part": part, "transform": move, "ratio": round(real, 4)}


def take_part(rng: np.random.Generator, cut: CutOut) -> tuple[CutOut, dict[str, float]]:
    """Keeps 30 to 80 % of an object: what lies on one side of a slightly curved line."""
    angle = float(rng.uniform(0, 2 * np.pi))
    bend = float(rng.uniform(-0.6, 0.6))
    share = float(rng.uniform(0.3, 0.8))
    height, width = cut.alpha.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    side = float(max(height, width))
    u, v = (xs - width / 2) / side, (ys - height / 2) / side
    along = -u * np.sin(angle) + v * np.cos(angle)
    field = u * np.cos(angle) + v * np.sin(angle) + bend * along**2
    keep = field <= np.quantile(field[cut.alpha > 0.5], share)
    alpha = np.where(keep, cut.alpha, np.float32(0.0))
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.5).astype(np.uint8))
    if count > 2:  # only the largest piece: a part is one thing
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        alpha = np.where(labels == largest, alpha, np.float32(0.0))
    description = {"angle": round(angle, 4), "bend": round(bend, 4), "share": round(share, 4)}
    return CutOut(cut.rgb, alpha, cut.soft, cut.origin), description
