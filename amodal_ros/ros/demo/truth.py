# SPDX-License-Identifier: Apache-2.0
"""The clip that comes along: its true masks, and the metric c2f against them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_iou
from amodal_ros.image.rle import decode_rle

CLIP_FOLDER = Path(__file__).resolve().parents[2] / "demo_clip"
CLIP_VIDEO = CLIP_FOLDER / "clip.mp4"
CLIP_ANNOTATIONS = CLIP_FOLDER / "annotations.json"


@dataclass(frozen=True, eq=False)
class TrueObject:
    """Exact masks (H, W) bool of one object in one frame."""

    name: str
    visible_mask: np.ndarray
    amodal_mask: np.ndarray


class Truth:
    """True objects of a clip by frame index."""

    def __init__(self, annotations: Mapping[str, Any]) -> None:
        index_of = {image["id"]: image["frame"] for image in annotations["images"]}
        self._records: dict[int, list[Mapping[str, Any]]] = {}
        for record in annotations["annotations"]:
            self._records.setdefault(index_of[record["image_id"]], []).append(record)

    def of(self, frame: int) -> list[TrueObject]:
        """Objects of one frame, fully hidden ones included."""
        return [
            TrueObject(
                record["name"],
                decode_rle(record["visible_mask"]),
                decode_rle(record["segmentation"]),
            )
            for record in self._records.get(frame, [])
        ]


class C2fMeter:
    """mIoU_full and mIoU_occ as the tables of C2F-Seg count them.

    mIoU_full is the mean IoU(P, G) over all instances. mIoU_occ sums IoU(P minus V, G minus V)
    over all instances and divides by the number of those with a hidden part. P: predicted amodal
    mask, G: true amodal mask, V: true visible mask.
    """

    def __init__(self) -> None:
        self._full = 0.0
        self._occluded = 0.0
        self._instances = 0
        self._hidden_instances = 0

    def add(self, predicted: np.ndarray | None, truth: TrueObject) -> None:
        """Counts one instance; `predicted` (H, W) bool, None: missing in the answer, IoU 0."""
        hidden = truth.amodal_mask & ~truth.visible_mask
        self._instances += 1
        self._hidden_instances += int(hidden.any())
        if predicted is not None:
            self._full += mask_iou(predicted, truth.amodal_mask)
            self._occluded += mask_iou(predicted & ~truth.visible_mask, hidden)

    def percent(self) -> dict[str, float | None]:
        """`miou_full` and `miou_occ` in percent; None where there is no instance to count."""
        return {
            "miou_full": _percent(self._full, self._instances),
            "miou_occ": _percent(self._occluded, self._hidden_instances),
        }


def load_annotations(path: Path) -> dict[str, Any]:
    """Reads an `amodal_coco` file.

    Raises:
        InvalidInputError: The file is missing, or no such data set.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from error
    keys: Sequence[str] = ("images", "annotations", "categories")
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in keys):
        raise InvalidInputError(f"{path}: expected COCO JSON with the lists {', '.join(keys)}")
    return data


def _percent(total: float, count: int) -> float | None:
    return round(100.0 * float(total) / count, 2) if count else None
