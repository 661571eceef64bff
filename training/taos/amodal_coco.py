# SPDX-License-Identifier: Apache-2.0
"""A TAOS split as an evaluation dataset (paper Table 6), in the `amodal_coco` format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2

from amodal_ros.annotations.amodal_coco import AmodalCocoWriter
from training.taos.shards import read_shard, sample_key

_CATEGORY = "object"


def export_amodal_coco(shards: Iterable[Path], out: Path) -> Path:
    """Writes ``images/*.png`` (lossless) and ``annotations.json`` from shards.

    Each image has one object, the target; frames of clips also have ``track_id``, and their
    images ``video_id`` and ``frame``.

    Returns:
        Path of the annotation file.

    Raises:
        CorruptRecordError: naming the shard and the sample.
    """
    folder = out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    writer = AmodalCocoWriter({"description": "TAOS composites"}, [_CATEGORY])
    for shard in shards:
        for sample in read_shard(shard):
            name = f"{sample_key(sample)}.png"
            if not cv2.imwrite(str(folder / name), sample.image[..., ::-1]):
                raise OSError(f"cannot write {folder / name}")
            made_by = sample.provenance
            height, width = sample.amodal.shape
            number = writer.add_image(
                name, (height, width), made_by.get("video_id"), made_by.get("frame")
            )
            writer.add_object(
                number, _CATEGORY, sample.amodal, sample.visible, made_by.get("track_id")
            )
    path = out / "annotations.json"
    writer.write(path)
    return path
