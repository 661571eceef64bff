# SPDX-License-Identifier: Apache-2.0
"""What every source offers, and the raster helpers they share."""

from __future__ import annotations

import functools
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from amodal_ros.errors import InvalidInputError
from training.taos.types import CutOut, Photo, PhotoObject
from training.untrusted import CorruptRecordError, decode_rgb, working_hw

Part = Literal["all", "train", "held"]


class Source(ABC):
    """Records to draw from, of which a part may be kept back.

    What is kept back is decided by the names alone: whole groups (all views of a 3D model, a photo
    with its objects) are either trained on or kept back. A source of one group is split by record.

    Attributes:
        kind: what stands before the colon of `spec`.
        spec: ``KIND:PATH`` as given.
        left_out: how many annotations mark no object.
        part: which records are seen: `all`, `train` (what is not kept back) or `held` (what is).
        held_share: of the groups, rounded up; at least one group is in either part.
    """

    kind: str
    spec: str
    left_out = 0
    part: Part = "all"
    held_share = 0.0

    @abstractmethod
    def records(self, shard: int) -> Sequence[Hashable]:
        """Keys of all records that output shard `shard` may draw from; never empty."""

    def group(self, key: Any) -> str:
        """What a record belongs to, of which all or nothing is kept back; itself by default."""
        return str(key)

    def pool(self, shard: int) -> Sequence[Hashable]:
        """Keys of the records of `part` that output shard `shard` draws from; never empty.

        Raises:
            InvalidInputError: a single record, which cannot be split.
        """
        keys = self.records(shard)
        if self.part == "all":
            return keys
        groups = {key: self.group(key) for key in keys}
        if len(set(groups.values())) < 2:
            groups = {key: str(key) for key in keys}
        names = sorted(set(groups.values()), key=_rank)
        if len(names) < 2:
            raise InvalidInputError(
                f"source {self.spec}: expected at least two objects, one to keep back, got "
                f"{len(names)}"
            )
        held = set(names[: min(max(math.ceil(self.held_share * len(names)), 1), len(names) - 1)])
        return [key for key in keys if (groups[key] in held) == (self.part == "held")]


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8")).hexdigest()


class PhotoSource(Source):
    """Photos with segmented objects whose masks show only what is visible."""

    @abstractmethod
    def photo(self, key: Any, long_side: int) -> Photo:
        """Loads one record at working size.

        Raises:
            CorruptRecordError: naming file and record.
        """


class CutOutSource(Source):
    """Whole objects with alpha, cut free of any background."""

    @abstractmethod
    def cut_out(self, key: Any) -> CutOut:
        """Loads one cut-out.

        Raises:
            CorruptRecordError: naming file and record.
            RejectedError: if the record is sound but no good object (a flat 3D model, say).
        """


def polygon_object(
    object_id: str, category: str, polygons: Sequence[np.ndarray], native_hw: tuple[int, int]
) -> PhotoObject:
    """An object from polygons, each (P, 2) float in native pixels."""
    points = np.concatenate(polygons)
    low, high = points.min(axis=0), points.max(axis=0)
    area = sum(float(cv2.contourArea(p.astype(np.float32))) for p in polygons)
    return PhotoObject(
        object_id=object_id,
        box_xyxy=(float(low[0]), float(low[1]), float(high[0]), float(high[1])),
        area=area,
        category=category,
        rasterise=functools.partial(_raster_polygons, tuple(polygons), native_hw),
    )


def _raster_polygons(
    polygons: Sequence[np.ndarray], native_hw: tuple[int, int], hw: tuple[int, int]
) -> np.ndarray:
    """Fills polygons at size `hw`; sub-pixel corners, OR over the polygons."""
    scale = np.array([hw[1] / native_hw[1], hw[0] / native_hw[0]])
    mask = np.zeros(hw, np.uint8)
    for polygon in polygons:
        # Polygon corners are in edge coordinates (pixel centres at .5), OpenCV's at centres.
        fixed = np.round((polygon * scale - 0.5) * 256.0).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 1, lineType=cv2.LINE_8, shift=8)
    return mask.astype(bool)


def rle_object(
    object_id: str,
    category: str,
    rle: Mapping[str, Any],
    native_hw: tuple[int, int],
    place: tuple[object, object],
) -> PhotoObject:
    """An object from a COCO RLE dict (compressed or not).

    Args:
        object_id: identity inside the record.
        category: class name or "".
        rle: ``{"size": [h, w], "counts": str | bytes | list}``.
        native_hw: size of the image, which the RLE must have too.
        place: (file, record) for errors.

    Raises:
        CorruptRecordError: if the RLE is malformed or of another size.
    """
    try:
        size = tuple(int(v) for v in rle["size"])
        if size != tuple(native_hw):
            raise CorruptRecordError(
                *place, f"RLE of object {object_id}: expected size {native_hw}, got {size}"
            )
        packed = _pack_rle(rle, native_hw)
        x, y, width, height = (float(v) for v in coco_mask.toBbox(packed))
        area = float(coco_mask.area(packed))
    except CorruptRecordError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptRecordError(
            *place, f"RLE of object {object_id} is malformed: {error!r}"
        ) from error
    return PhotoObject(
        object_id=object_id,
        box_xyxy=(x, y, x + width, y + height),
        area=area,
        category=category,
        rasterise=functools.partial(_raster_rle, packed, object_id, place),
    )


def _pack_rle(rle: Mapping[str, Any], native_hw: tuple[int, int]) -> dict[str, Any]:
    counts = rle["counts"]
    if isinstance(counts, list):
        if sum(counts) != native_hw[0] * native_hw[1] or any(c < 0 for c in counts):
            raise ValueError("run lengths do not add up to the image size")
        return coco_mask.frPyObjects(
            {"size": list(native_hw), "counts": counts}, native_hw[0], native_hw[1]
        )
    data = counts.encode("ascii") if isinstance(counts, str) else bytes(counts)
    return {"size": list(native_hw), "counts": data}


def _raster_rle(
    packed: dict[str, Any], object_id: str, place: tuple[object, object], hw: tuple[int, int]
) -> np.ndarray:
    try:
        by_columns = np.asarray(coco_mask.decode(packed), np.uint8).T
    except (TypeError, ValueError) as error:
        raise CorruptRecordError(
            *place, f"RLE of object {object_id} cannot be decoded: {error}"
        ) from error
    by_columns = np.ascontiguousarray(by_columns)  # it is already: runs go down the columns
    if by_columns.shape != (hw[1], hw[0]):
        # Sampled at pixel centres, as polygons are; averaging large masks takes ten times longer.
        size = (hw[0], hw[1])
        by_columns = cv2.resize(by_columns, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.ascontiguousarray(by_columns.T).astype(bool)


def make_photo(
    *,
    record: str,
    native_hw: tuple[int, int],
    long_side: int,
    objects: Sequence[PhotoObject],
    read_data: Callable[[], bytes],
    place: tuple[object, object],
    background_annotated: bool,
    origin: Mapping[str, Any],
) -> Photo:
    """A `Photo` whose pixels are read and decoded once, on first use."""
    hw = working_hw(native_hw, long_side)

    @functools.cache
    def read_rgb() -> np.ndarray:
        return decode_rgb(read_data(), hw, *place)

    return Photo(
        record=record,
        native_hw=native_hw,
        hw=hw,
        read_rgb=read_rgb,
        objects=tuple(objects),
        background_annotated=background_annotated,
        origin=origin,
    )
