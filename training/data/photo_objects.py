# SPDX-License-Identifier: Apache-2.0
"""From a configuration to its objects; those of photos that people outlined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from training.data.config import PHOTOS, SCENES, SHARDS, TAOS, DataConfig, SourceConfig
from training.data.objects import (
    DatasetObjects,
    ObjectMasks,
    ObjectSource,
    Picture,
    TaosObjects,
    TaosShardObjects,
)
from training.datasets import open_dataset
from training.taos.config import TaosConfig
from training.taos.sources import open_source
from training.taos.sources.base import PhotoSource
from training.taos.target_filter import cheap_reason, mask_reason
from training.taos.types import Photo, PhotoObject

_DRAWS = 4  # objects of a photo that are tried before another item is drawn


class PhotoObjects(ObjectSource):
    """Every outlined instance of photos; the paper's Sec. 3.2 misses a set with both masks.

    The outline is the visible mask. It is the whole object too where TAOS would take it for a
    target: nothing touches it, and nothing about it looks cut.
    """

    def __init__(self, source: SourceConfig, config: DataConfig) -> None:
        """Open the materials.

        Raises:
            InvalidInputError: one of them holds cut-outs, not photos; or clips are asked for.
        """
        if config.frames > 1:
            raise InvalidInputError("data.frames: photos are stills, expected 1")
        self._settings = TaosConfig(**source.options)
        self._min_visible_px = config.min_visible_px
        self._sources: list[PhotoSource] = []
        for spec in source.materials:
            opened = open_source(spec, self._settings, Path(source.cache))
            if not isinstance(opened, PhotoSource):
                raise InvalidInputError(f"photos: expected outlined photos, got {spec}")
            self._sources.append(opened)
        if not self._sources:
            raise InvalidInputError("photos: expected materials, got none")
        self._records: list[tuple[int, Any]] = [
            (number, key) for number, opened in enumerate(self._sources) for key in opened.pool(0)
        ]

    def draw(self, number: int, rng: np.random.Generator) -> tuple[Picture, ...] | None:
        """An object of a photo, all photos alike often."""
        which, key = self._records[int(rng.integers(len(self._records)))]
        photo = self._sources[which].photo(key, self._settings.long_side)
        for index in rng.permutation(len(photo.objects))[:_DRAWS]:
            item = photo.objects[index]
            visible = item.rasterise(photo.hw)
            if np.count_nonzero(visible) < self._min_visible_px:
                continue
            reason = cheap_reason(photo, item, self._settings)
            masks = ObjectMasks(
                amodal=visible,
                visible=visible,
                valid=None,
                key=f"{photo.record}: {item.object_id}",
                others=_others(photo, item, visible),
                whole_known=not (reason or mask_reason(photo, item, visible, self._settings)),
            )
            return (Picture(photo.read_rgb(), None, (masks,)),)
        return None


def _others(photo: Photo, item: PhotoObject, visible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    seen = np.zeros(photo.hw, dtype=bool)
    for other in photo.objects:
        if other is not item:
            seen |= other.rasterise(photo.hw)
    return seen & ~visible


def open_objects(source: SourceConfig, config: DataConfig, seed: int) -> ObjectSource:
    """Open one source.

    Raises:
        InvalidInputError: it has no records, or its kind is unknown.
        DatasetError: its files are missing or broken.
    """
    if source.kind == TAOS:
        return TaosObjects(source, config, seed)
    if source.kind == PHOTOS:
        return PhotoObjects(source, config)
    if source.kind == SHARDS:
        return TaosShardObjects(source)
    if source.kind == SCENES:
        folder = Path(source.path)
        chunks = sorted(folder.glob("chunk_*/annotations.json"))
        if source.limit and len(chunks) < source.limit:
            raise InvalidInputError(
                f"{folder}: expected at least {source.limit} chunks of scenes, found {len(chunks)}"
            )
        if not chunks:
            raise InvalidInputError(f"{folder}: expected chunk_*/annotations.json, found none")
        chosen = chunks[: source.limit] if source.limit else chunks
        return DatasetObjects(
            [open_dataset("amodal_coco", file.parent, file) for file in chosen], config, 0
        )
    dataset = open_dataset(source.kind, Path(source.path), Path(source.annotations))
    return DatasetObjects([dataset], config, source.limit)
