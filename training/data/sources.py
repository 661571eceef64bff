# SPDX-License-Identifier: Apache-2.0
"""From a source's configuration to its objects."""

from __future__ import annotations

from pathlib import Path

from amodal_ros.errors import InvalidInputError
from training.data.config import PHOTOS, SCENES, SHARDS, TAOS, DataConfig, SourceConfig
from training.data.objects import DatasetObjects, ObjectSource, TaosObjects, TaosShardObjects
from training.data.photo_objects import PhotoObjects
from training.datasets import open_dataset


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
