# SPDX-License-Identifier: Apache-2.0
"""Looking at what was made: a sheet of pictures with outlines, and the occlusion histogram."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from amodal_ros.errors import InvalidInputError

_COLUMNS = 8
_CELL_WH = (320, 240)
BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.85)


@dataclass(frozen=True)
class Summary:
    """Of some chunks: pictures, objects, and the objects by their hidden share."""

    pictures: int
    objects: int
    histogram: dict[str, int]


def summarise(files: Sequence[Path]) -> Summary:
    """Count pictures and objects of annotation files."""
    rates, pictures = [], 0
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        pictures += len(content["images"])
        rates += [annotation["occlude_rate"] for annotation in content["annotations"]]
    rate = np.array(rates)
    histogram = {"0": int((rate == 0).sum())}
    for low, high in zip((0.0, *BUCKETS[:-1]), BUCKETS, strict=True):
        histogram[f"{low:.2f}-{high:.2f}"] = int(((rate > low) & (rate <= high)).sum())
    return Summary(pictures, len(rates), histogram)


def write_sheet(files: Sequence[Path], path: Path, count: int = 32) -> None:
    """A PNG of pictures spread over the chunks, each beside itself with its outlines.

    Whole outlines are drawn in a colour of the object's own, hidden parts are red.

    Raises:
        InvalidInputError: if there is no picture.
    """
    entries = [entry for file in files for entry in _entries(file)]
    if not entries:
        raise InvalidInputError(f"expected annotation files with pictures, got {len(files)} files")
    step = max(1, len(entries) // count)
    cells = [_cell(*entry) for entry in entries[::step][:count]]
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % (_COLUMNS // 2))
    rows = [np.hstack(cells[k : k + _COLUMNS // 2]) for k in range(0, len(cells), _COLUMNS // 2)]
    if not cv2.imwrite(str(path), np.vstack(rows)):
        raise OSError(f"cannot write {path}")


def _entries(file: Path) -> list[tuple[Path, list[dict[str, Any]]]]:
    content = json.loads(file.read_text(encoding="utf-8"))
    return [
        (
            file.parent / "images" / image["file_name"],
            [a for a in content["annotations"] if a["image_id"] == image["id"]],
        )
        for image in content["images"]
    ]


def _cell(path: Path, annotations: list[dict[str, Any]]) -> np.ndarray:
    image = cv2.imread(str(path))
    if image is None:
        raise InvalidInputError(f"{path}: expected a picture")
    marked = image.copy()
    for number, annotation in enumerate(annotations):
        whole = coco_mask.decode(annotation["segmentation"])
        hidden = (whole > 0) & (coco_mask.decode(annotation["visible_mask"]) == 0)
        marked[hidden] = (0.5 * marked[hidden] + (0, 0, 127)).astype(np.uint8)
        hue = np.array([[[number * 37 % 180, 220, 255]]], np.uint8)
        ink = tuple(int(v) for v in cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0])
        lines, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(marked, lines, -1, ink, 2)
    both = [cv2.resize(i, _CELL_WH, interpolation=cv2.INTER_AREA) for i in (image, marked)]
    return np.hstack(both)
