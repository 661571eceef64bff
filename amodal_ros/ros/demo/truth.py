# SPDX-License-Identifier: Apache-2.0
"""The clip that comes along: its true masks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
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
