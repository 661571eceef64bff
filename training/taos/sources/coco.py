# SPDX-License-Identifier: Apache-2.0
"""COCO-style JSON: ``coco:annotations.json@images_folder``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from training.taos.sources.base import PhotoSource, make_photo, polygon_object, rle_object
from training.taos.types import Photo, PhotoObject
from training.untrusted import CorruptRecordError, checked_hw, read_bytes


class CocoSource(PhotoSource):
    """``segmentation`` as polygons or RLE.

    Crowd annotations are left out, and so are those without an outline, which are counted.
    """

    kind = "coco"

    def __init__(self, spec: str, annotations: Path, images: Path) -> None:
        """Reads the JSON once and groups its annotations by image.

        Raises:
            InvalidInputError: if the images folder is missing.
            CorruptRecordError: if the JSON as a whole is not COCO's.
        """
        self.spec = spec
        self._file = annotations
        self._images_dir = images
        if not images.is_dir():
            raise InvalidInputError(f"source {spec}: expected an images folder {images}")
        content = _read_json(annotations)
        self._images = {_image_id(annotations, i, e): e for i, e in enumerate(content["images"])}
        if not self._images:
            raise InvalidInputError(f"source {spec}: {annotations} lists no image")
        self._categories = {
            entry.get("id"): str(entry.get("name", entry.get("id")))
            for entry in content.get("categories", [])
            if isinstance(entry, dict)
        }
        self._annotations: dict[Any, list[dict[str, Any]]] = {}
        crowds = 0
        for index, entry in enumerate(content["annotations"]):
            if not isinstance(entry, dict) or "image_id" not in entry:
                raise CorruptRecordError(
                    annotations, f"annotations[{index}]", "expected an object with image_id"
                )
            if entry.get("iscrowd", 0):
                crowds += 1
            elif _has_outline(entry.get("segmentation")):
                self._annotations.setdefault(entry["image_id"], []).append(entry)
            else:
                self.left_out += 1
        if not self._annotations:
            raise InvalidInputError(
                f"source {spec}: expected objects, got {len(content['annotations'])} annotations: "
                f"{crowds} are crowds (iscrowd), {self.left_out} have no outline (an empty "
                "segmentation, or polygons of fewer than 6 numbers)"
            )
        self._keys = sorted(self._images, key=str)

    def records(self, shard: int) -> Sequence[Any]:
        """All image ids."""
        return self._keys

    def photo(self, key: Any, long_side: int) -> Photo:
        """Reads one image and its annotations (see `PhotoSource.photo`)."""
        entry = self._images[key]
        record = f"image {key}"
        path = _inside(self._images_dir, entry, self._file, record)
        data = read_bytes(path, record)
        native_hw = checked_hw(data, path, record)
        stated = (entry.get("height", native_hw[0]), entry.get("width", native_hw[1]))
        if tuple(stated) != native_hw:
            raise CorruptRecordError(
                self._file, record, f"says (height, width) {stated}, {path} has {native_hw}"
            )
        objects = [
            self._object(annotation, native_hw) for annotation in self._annotations.get(key, [])
        ]
        return make_photo(
            record=str(entry["file_name"]),
            native_hw=native_hw,
            long_side=long_side,
            objects=objects,
            read_data=lambda: data,
            place=(path, record),
            background_annotated=False,
            origin={"source": self.spec, "kind": self.kind, "record": str(entry["file_name"])},
        )

    def _object(self, annotation: dict[str, Any], native_hw: tuple[int, int]) -> PhotoObject:
        object_id = str(annotation.get("id", "?"))
        place = (self._file, f"annotation {object_id}")
        segmentation = annotation.get("segmentation")
        number = annotation.get("category_id")
        category = self._categories.get(number, "" if number is None else str(number))
        if isinstance(segmentation, dict):
            return rle_object(object_id, category, segmentation, native_hw, place)
        polygons = []
        for polygon in filter(_is_outline, segmentation or ()):
            try:
                points = np.array(polygon, np.float64)
            except (TypeError, ValueError):
                points = np.zeros(0)
            if points.ndim != 1 or not len(points) or len(points) % 2:
                raise CorruptRecordError(
                    *place, f"polygon: expected numbers x y ..., got {polygon!r:.60}"
                )
            if not np.isfinite(points).all():
                raise CorruptRecordError(*place, "polygon: expected finite numbers")
            polygons.append(points.reshape(-1, 2).clip(0, (native_hw[1], native_hw[0])))
        return polygon_object(object_id, category, polygons, native_hw)


def _has_outline(segmentation: Any) -> bool:
    """False for what marks no area: nothing, boxes, points and lines, as many files have some."""
    if isinstance(segmentation, list):
        return any(map(_is_outline, segmentation))
    return isinstance(segmentation, dict)


def _is_outline(polygon: Any) -> bool:
    return isinstance(polygon, list) and len(polygon) >= 6


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CorruptRecordError(path, "file", f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CorruptRecordError(path, "file", f"expected JSON: {error}") from error
    for key in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise CorruptRecordError(path, "file", f"expected a COCO object with a list {key!r}")
    return content


def _image_id(file: Path, index: int, entry: Any) -> Any:
    if not isinstance(entry, dict) or "id" not in entry or "file_name" not in entry:
        raise CorruptRecordError(file, f"images[{index}]", "expected id and file_name")
    return entry["id"]


def _inside(folder: Path, entry: dict[str, Any], file: Path, record: str) -> Path:
    """The image's path, which must stay inside the images folder."""
    path = folder / str(entry["file_name"])
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CorruptRecordError(
            file, record, f"file_name {entry['file_name']!r} leaves the images folder"
        )
    return path
