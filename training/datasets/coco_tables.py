# SPDX-License-Identifier: Apache-2.0
"""What annotation files hold: tables of images, categories and annotations; polygons and RLE."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from amodal_ros.image.rle import decode_rle
from training.datasets.sample import DatasetError


@dataclass(frozen=True, eq=False)
class CocoTables:
    """A COCO-style file, joined on ids and never on position.

    Attributes:
        file: where it was read from.
        images: image records by ``id``.
        categories: category names by ``id``; empty where the file has none.
        annotations: annotation records in file order.
    """

    file: Path
    images: Mapping[Hashable, Mapping[str, Any]]
    categories: Mapping[Hashable, str]
    annotations: Sequence[Mapping[str, Any]]

    @classmethod
    def from_json(cls, file: Path) -> CocoTables:
        """Read a JSON file.

        Raises:
            DatasetError: not JSON, or without the tables.
        """
        try:
            with file.open("rb") as stream:
                content = json.load(stream)
        except (OSError, ValueError) as error:
            raise DatasetError(f"{file}: cannot be read as JSON: {error}") from error
        return cls.from_content(file, content)

    @classmethod
    def from_content(cls, file: Path, content: Any) -> CocoTables:
        """Build the tables from a decoded file: JSON, or MP3D-Amodal's unpickled skeleton."""
        if not isinstance(content, Mapping):
            raise DatasetError(f"{file}: holds a {type(content).__name__}, expected an object")
        for table in ("images", "annotations"):
            if not isinstance(content.get(table), list):
                raise DatasetError(
                    f"{file}: has no list {table!r}; its keys are {sorted(map(str, content))}"
                )
        return cls(
            file=file,
            images=_by_id(file, content["images"]),
            categories={
                entry["id"]: str(entry.get("name", entry["id"]))
                for entry in content.get("categories") or []
            },
            annotations=content["annotations"],
        )

    def image(self, annotation: Mapping[str, Any]) -> Mapping[str, Any]:
        """The image record an annotation refers to.

        Raises:
            ValueError: there is none.
        """
        image_id = annotation["image_id"]
        if image_id not in self.images:
            raise ValueError(f"refers to image_id {image_id!r}, which is not among the images")
        return self.images[image_id]

    def category_name(self, category_id: Hashable) -> str:
        """The category's name; its id as text where the table does not list it; "" for None."""
        return "" if category_id is None else self.categories.get(category_id, str(category_id))


def image_hw(image: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width an image record declares."""
    hw = int(image["height"]), int(image["width"])
    if min(hw) < 1:
        raise ValueError(f"image {image.get('file_name')!r} declares the size {hw[1]}x{hw[0]}")
    return hw


def find_image(root: Path, file_name: str, folders: Sequence[str]) -> Path:
    """``root/file_name``, or else the first existing ``root/folder/file_name``.

    Returns ``root/file_name`` when none exists, so that the error names what was asked for.
    """
    candidates = [root / file_name, *(root / folder / file_name for folder in folders)]
    return next((path for path in candidates if path.is_file()), candidates[-1])


def _by_id(file: Path, images: list[Any]) -> dict[Hashable, Mapping[str, Any]]:
    table: dict[Hashable, Mapping[str, Any]] = {}
    for position, image in enumerate(images):
        if not isinstance(image, Mapping) or "id" not in image:
            raise DatasetError(f"{file}: image number {position} has no 'id'")
        if image["id"] in table:
            raise DatasetError(f"{file}: the image id {image['id']!r} occurs twice")
        table[image["id"]] = image
    return table


MIN_POLYGON_NUMBERS = 6  # three points; pycocotools takes four numbers for a box, not a polygon


def decode_segmentation(segmentation: Any, hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode any COCO segmentation.

    Args:
        segmentation: a list of polygons, one flat polygon (COCOA), an RLE whose ``counts`` is a
            string, bytes or a list of run lengths, or a list holding one such RLE (FISHBOWL).
        hw: height and width of the image, in pixels.

    Returns:
        (H, W) bool; may be empty (the caller knows whether it may).

    Raises:
        ValueError: with what came and what was expected.
    """
    if isinstance(segmentation, Mapping):
        return _decode_rle(segmentation, hw)
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str | bytes):
        raise ValueError(f"segmentation is a {type(segmentation).__name__}, not polygons or RLE")
    if not segmentation:
        return np.zeros(hw, dtype=bool)
    if isinstance(segmentation[0], Mapping):
        if len(segmentation) != 1:
            raise ValueError(f"{len(segmentation)} RLE masks where one was expected")
        return _decode_rle(segmentation[0], hw)
    polygons = [segmentation] if np.isscalar(segmentation[0]) else segmentation
    return _decode_polygons(polygons, hw)


def _decode_rle(rle: Mapping[str, Any], hw: tuple[int, int]) -> NDArray[np.bool_]:
    size = list(rle["size"])
    if size != list(hw):
        raise ValueError(f"RLE size {size} does not match the image's {list(hw)}")
    return decode_rle(rle)


def _decode_polygons(polygons: Sequence[Any], hw: tuple[int, int]) -> NDArray[np.bool_]:
    usable: list[list[float]] = []
    for polygon in polygons:
        numbers = [float(v) for v in polygon]
        if len(numbers) % 2 or not all(math.isfinite(v) for v in numbers):
            raise ValueError(f"polygon of {len(numbers)} numbers; pairs of finite x y expected")
        if len(numbers) >= MIN_POLYGON_NUMBERS:  # fewer points enclose nothing
            usable.append(numbers)
    if not usable:
        return np.zeros(hw, dtype=bool)
    merged = coco_mask.merge(coco_mask.frPyObjects(usable, *hw))
    return coco_mask.decode(merged).astype(bool)
