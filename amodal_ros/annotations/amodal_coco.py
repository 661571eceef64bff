# SPDX-License-Identifier: Apache-2.0
"""``amodal_coco``, this project's own format: COCO JSON with both masks, stills or video.

An annotation has ``segmentation`` (the amodal mask, RLE), ``visible_mask`` (RLE), ``bbox`` and
``visible_bbox`` (``x y w h``), ``image_id``, ``category_id`` and optionally ``track_id``; an
image has ``id``, ``file_name``, ``width``, ``height`` and optionally ``video_id`` and ``frame``.
Tools that know COCO alone read the whole objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_box
from amodal_ros.image.rle import decode_rle, encode_rle


class AmodalCocoWriter:
    """Collects images and objects, then writes one JSON file; ids count from 1."""

    def __init__(self, info: Mapping[str, Any], categories: Sequence[str] = ()) -> None:
        """Start an empty file.

        Args:
            info: free-form description, written as ``info``.
            categories: names; their ids are their positions plus one. See also `add_category`.
        """
        self._info = dict(info)
        self._category_ids = {name: number for number, name in enumerate(categories, start=1)}
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add_category(self, name: str) -> None:
        """Add a category unless it is there."""
        self._category_ids.setdefault(name, len(self._category_ids) + 1)

    def add_image(
        self,
        file_name: str,
        hw: tuple[int, int],
        video_id: int | None = None,
        frame: int | None = None,
    ) -> int:
        """Add an image and return its id."""
        image: dict[str, Any] = {
            "id": len(self._images) + 1,
            "file_name": file_name,
            "width": int(hw[1]),
            "height": int(hw[0]),
        }
        if video_id is not None:
            image |= {"video_id": video_id, "frame": frame}
        self._images.append(image)
        return image["id"]

    def add_object(
        self,
        image_id: int,
        category: str,
        amodal_mask: NDArray[np.bool_],
        visible_mask: NDArray[np.bool_],
        track_id: int | None = None,
        name: str | None = None,
    ) -> int:
        """Add an object, masks (H, W) bool, and return its id.

        Args:
            image_id: of `add_image`.
            category: one of the file's.
            amodal_mask: (H, W) bool.
            visible_mask: (H, W) bool.
            track_id: of the object in its video.
            name: of the object itself, beside its category.

        Raises:
            InvalidInputError: an empty amodal mask or masks of another size than the image.
        """
        image = self._images[image_id - 1]
        hw = (image["height"], image["width"])
        if amodal_mask.shape != hw or visible_mask.shape != hw or not amodal_mask.any():
            raise InvalidInputError(
                f"masks {amodal_mask.shape} and {visible_mask.shape} for an image of {hw}; "
                "both must have its size and the amodal one must not be empty"
            )
        amodal_area = int(np.count_nonzero(amodal_mask))
        hidden = int(np.count_nonzero(amodal_mask & ~visible_mask))
        annotation: dict[str, Any] = {
            "id": len(self._annotations) + 1,
            "image_id": image_id,
            "category_id": self._category_ids[category],
            "segmentation": encode_rle(amodal_mask),
            "visible_mask": encode_rle(visible_mask),
            "bbox": _xywh(mask_box(amodal_mask)),
            "visible_bbox": _xywh(mask_box(visible_mask)),
            "area": amodal_area,
            "occlude_rate": round(hidden / amodal_area, 6),
            "iscrowd": 0,
        }
        if track_id is not None:
            annotation["track_id"] = track_id
        if name is not None:
            annotation["name"] = name
        self._annotations.append(annotation)
        return annotation["id"]

    def write(self, file: Path) -> None:
        """Write the JSON file, the same bytes for the same content."""
        content = {
            "info": self._info,
            "images": self._images,
            "annotations": self._annotations,
            "categories": [
                {"id": number, "name": name} for name, number in self._category_ids.items()
            ],
        }
        file.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _xywh(box_xyxy: tuple[int, int, int, int]) -> list[int]:
    x0, y0, x1, y1 = box_xyxy
    return [x0, y0, x1 - x0, y1 - y0]


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
