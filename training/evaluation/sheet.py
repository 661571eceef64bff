# SPDX-License-Identifier: Apache-2.0
"""A picture of the best, median and worst cases among the occluded instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.datasets.coco_tables import decode_segmentation

COLUMNS = 6
TILE = 220
TEXT_HEIGHT = 34
HEADING_HEIGHT = 26
CONTEXT = 1.7
TRUE_COLOR = (40, 200, 60)
PREDICTED_COLOR = (235, 60, 40)
VISIBLE_COLOR = (60, 120, 240)


def write_sheet(file: Path, instances: Sequence[Mapping[str, Any]]) -> None:
    """Write a PNG: three rows of cases by IoU of the hidden part, whole objects if none is hidden.

    Outlines: green the true amodal mask, red the prediction, blue the true visible mask.
    """
    key = "iou_occ" if any(i["iou_occ"] is not None for i in instances) else "iou_full"
    scored = [i for i in instances if i[key] is not None and i["prompted"]]
    ranked = _one_per_track(
        sorted(scored, key=lambda i: (-i[key], -i["iou_full"], str(i["instance_id"])))
    )
    middle = max(len(ranked) // 2 - COLUMNS // 2, 0)
    rows = (
        (f"best {key}", ranked[:COLUMNS]),
        (f"median {key}", ranked[middle : middle + COLUMNS]),
        (f"worst {key}", ranked[-COLUMNS:]),
    )
    parts = []
    for heading, chosen in rows:
        parts.append(
            _text(f"{heading}  (green: true, red: predicted, blue: visible)", HEADING_HEIGHT)
        )
        tiles = [_tile(instance) for instance in chosen]
        blank = np.full((TILE + TEXT_HEIGHT, TILE, 3), 255, dtype=np.uint8)
        parts.append(np.hstack(tiles + [blank] * (COLUMNS - len(tiles))))
    Image.fromarray(np.vstack(parts)).save(file)


def _one_per_track(ranked: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Keep one frame of each object of a video, the middle one: its frames look much alike."""
    groups: dict[Any, list[int]] = {}
    for place, instance in enumerate(ranked):
        track = (instance["video_id"], instance["track_id"])
        groups.setdefault(place if None in track else track, []).append(place)
    return [ranked[k] for k in sorted(places[len(places) // 2] for places in groups.values())]


def _tile(instance: Mapping[str, Any]) -> NDArray[np.uint8]:
    with Image.open(instance["image"]) as opened:
        image = np.asarray(opened.convert("RGB"))
    hw = (image.shape[0], image.shape[1])
    masks = [
        (decode_segmentation(instance[name], hw), color)
        for name, color in (
            ("amodal", TRUE_COLOR),
            ("prediction", PREDICTED_COLOR),
            ("visible", VISIBLE_COLOR),
        )
    ]
    left, top, side = _square(masks[0][0] | masks[1][0])
    matrix = np.array([[1, 0, -left], [0, 1, -top]], dtype=np.float32) * (TILE / side)
    picture = cv2.warpAffine(image, matrix, (TILE, TILE), flags=cv2.INTER_LINEAR)
    for mask, color in masks:
        small = cv2.warpAffine(
            mask.astype(np.uint8) * 255, matrix, (TILE, TILE), flags=cv2.INTER_LINEAR
        )
        outlines, _ = cv2.findContours(
            (small > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, outlines, -1, color, 2 if color != VISIBLE_COLOR else 1)
    caption = (
        f"{instance['category'][:18]} hidden {instance['occlusion_rate']:.0f}%",
        f"full {instance['iou_full']:.0f} occ {_number(instance['iou_occ'])}",
    )
    text = np.full((TEXT_HEIGHT, TILE, 3), 255, dtype=np.uint8)
    for line, content in enumerate(caption):
        place = (4, 13 + 15 * line)
        cv2.putText(text, content, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1)
    return np.vstack([picture, text])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _square(mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Left, top and side of a square around a mask, with some context."""
    rows, columns = np.nonzero(mask)
    side = CONTEXT * max(int(np.ptp(rows)), int(np.ptp(columns)), 16)
    return (
        float(columns.min() + columns.max()) / 2 - side / 2,
        float(rows.min() + rows.max()) / 2 - side / 2,
        float(side),
    )


def _text(content: str, height: int) -> NDArray[np.uint8]:
    strip = np.full((height, COLUMNS * TILE, 3), 235, dtype=np.uint8)
    cv2.putText(strip, content, (6, height - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1)
    return strip
