# SPDX-License-Identifier: Apache-2.0
"""A TAOS split as an evaluation dataset (paper Table 6), in the `amodal_coco` format."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from training.taos.runner import write_atomically
from training.taos.shards import read_shard, sample_key
from training.taos.types import TaosSample


def export_amodal_coco(shards: Iterable[Path], out: Path) -> Path:
    """Writes ``images/*.png`` (lossless) and ``annotations.json`` from shards.

    Each image has one annotation, the target: ``segmentation`` (amodal RLE), ``visible_mask``
    (RLE), ``bbox`` and ``visible_bbox`` (xywh), ``occlude_rate``; frames of clips also have
    ``track_id``, and their images ``video_id`` and ``frame``.

    Returns:
        Path of the annotation file.

    Raises:
        CorruptRecordError: naming the shard and the sample.
    """
    folder = out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for shard in shards:
        for sample in read_shard(shard):
            number = len(images) + 1
            name = f"{sample_key(sample)}.png"
            if not cv2.imwrite(str(folder / name), sample.image[..., ::-1]):
                raise OSError(f"cannot write {folder / name}")
            images.append(_image(sample, number, name))
            annotations.append(_annotation(sample, number))
    content = {
        "info": {"description": "TAOS composites", "version": "1"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "object"}],
    }
    path = out / "annotations.json"
    write_atomically(path, json.dumps(content))
    return path


def _image(sample: TaosSample, number: int, name: str) -> dict[str, Any]:
    height, width = sample.amodal.shape
    entry = {"id": number, "file_name": name, "width": width, "height": height}
    if "frame" in sample.provenance:
        entry |= {
            "video_id": sample.provenance["video_id"],
            "frame": sample.provenance["frame"],
        }
    return entry


def _annotation(sample: TaosSample, number: int) -> dict[str, Any]:
    entry = {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "iscrowd": 0,
        "segmentation": _rle(sample.amodal),
        "visible_mask": _rle(sample.visible),
        "bbox": _xywh(sample.amodal),
        "visible_bbox": _xywh(sample.visible),
        "area": int(np.count_nonzero(sample.amodal)),
        "occlude_rate": round(sample.occlusion_rate, 6),
    }
    if "track_id" in sample.provenance:
        entry["track_id"] = sample.provenance["track_id"]
    return entry


def _rle(mask: np.ndarray) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(v) for v in rle["size"]], "counts": rle["counts"].decode("ascii")}


def _xywh(mask: np.ndarray) -> list[float]:
    return [float(v) for v in cv2.boundingRect(mask.astype(np.uint8))]
