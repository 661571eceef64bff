# SPDX-License-Identifier: Apache-2.0
"""A run as a dataset for training: pictures, amodal_coco, and YOLO's segmentation labels.

The folder holds ``images/``, ``annotations.json`` (amodal_coco: both masks, tracks), ``labels/``
and ``data.yaml`` (YOLO: whole objects, or what is seen of them).

YOLO's labels have a line for each object: its class and one polygon. The format knows neither
holes nor parts. Holes are filled, and parts are joined by bridges without width, from the nearest
point of one to that of the other and back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from scipy.spatial.distance import cdist

from amodal_ros.annotations.amodal_coco import AmodalCocoWriter
from amodal_ros.checks import check_image
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import CroppedMask, outlines
from amodal_ros.tracking.types import TrackedObject

NO_CLASS = "object"  # of an object whose class is unknown: both formats want a name
_QUALITY = 95


class RunDataset:
    """Takes the frames of a run in their order, and writes the tables at the end.

    Args:
        folder: new or empty; it is made.
        info: of the run, written into ``annotations.json``.
        yolo_masks: what YOLO's labels hold.

    Raises:
        InvalidInputError: the folder is not empty.
    """

    def __init__(
        self,
        folder: Path,
        info: Mapping[str, Any],
        yolo_masks: Literal["amodal", "visible"] = "amodal",
    ) -> None:
        if folder.exists() and any(folder.iterdir()):
            raise InvalidInputError(f"{folder} is not empty")
        for name in ("images", "labels"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._yolo_masks = yolo_masks
        self._coco = AmodalCocoWriter(info)
        self._classes: dict[str, int] = {}
        self._frames = 0

    def __len__(self) -> int:
        return self._frames

    def add(self, image_rgb: np.ndarray, objects: Sequence[TrackedObject]) -> str:
        """Takes a frame.

        Args:
            image_rgb: (H, W, 3) uint8 RGB.
            objects: of the frame; one with an empty mask is left out.

        Returns:
            Its name, under ``images/``.

        Raises:
            InvalidInputError: for another picture, or masks of another size.
            OSError: a file cannot be written.
        """
        hw = check_image(image_rgb).shape[:2]
        found = [one for one in objects if not one.amodal.is_empty]
        stem = f"{self._frames:06d}"
        name = f"{stem}.jpg"
        image_id = self._coco.add_image(f"images/{name}", hw, video_id=1, frame=self._frames)
        lines = []
        for one in found:
            label = one.class_id or NO_CLASS
            number = self._classes.setdefault(label, len(self._classes))
            self._coco.add_category(label)
            track = one.track_id if one.track_id >= 0 else None
            self._coco.add_object(image_id, label, one.amodal.full(), one.visible.full(), track)
            mask = one.amodal if self._yolo_masks == "amodal" else one.visible
            lines.append(yolo_line(number, mask))
        picture = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
        jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        (self._folder / "images" / name).write_bytes(jpeg.tobytes())
        text = "".join(f"{line}\n" for line in lines if line is not None)
        (self._folder / "labels" / f"{stem}.txt").write_text(text, encoding="ascii")
        self._frames += 1
        return name

    def close(self) -> None:
        """Writes ``annotations.json`` and ``data.yaml``.

        Raises:
            OSError: a file cannot be written.
        """
        self._coco.write(self._folder / "annotations.json")
        names = "".join(f"  {k}: {json.dumps(name)}\n" for name, k in self._classes.items())
        # No `path`: trainers take it from their own folder, and without it from this file's.
        text = f"train: images\nval: images\nnames:\n{names or '  {}'}"
        (self._folder / "data.yaml").write_text(text, encoding="utf-8")


_TOLERANCE_PX = 1.0


def yolo_line(class_number: int, mask: CroppedMask) -> str | None:
    """The label of an object; None for a mask without an area, which YOLO cannot say.

    Args:
        class_number: counts from 0.
        mask: of the object.
    """
    parts = [part for part in outlines(mask, _TOLERANCE_PX, holes=False) if len(part) > 2]
    if not parts:
        return None
    polygon = joined(sorted(parts, key=len, reverse=True)) / mask.image_hw[::-1]
    return " ".join([str(class_number), *(f"{value:.6f}" for value in polygon.ravel())])


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """One closed polygon (P, 2) through the points of all parts (P, 2) each."""
    whole, *others = parts
    for part in others:
        distances = cdist(whole, part)
        here, there = np.unravel_index(int(distances.argmin()), distances.shape)
        around = np.roll(part, -int(there), axis=0)
        bridge = np.concatenate([around, around[:1], whole[here : here + 1]])
        whole = np.insert(whole, int(here) + 1, bridge, axis=0)
    return whole
