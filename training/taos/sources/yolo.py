# SPDX-License-Identifier: Apache-2.0
"""YOLO segmentation folders: ``images/**.jpg`` beside ``labels/**.txt``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amodal_ros.errors import InvalidInputError
from training.taos.sources.base import PhotoSource, make_photo, polygon_object
from training.taos.types import Photo, PhotoObject
from training.untrusted import CorruptRecordError, checked_hw, read_bytes

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class YoloSource(PhotoSource):
    """Lines ``class x y x y ...`` with coordinates normalised to [0, 1].

    The class number of each line becomes the category. Images without a label file are
    photos without objects: they still serve as backgrounds.
    """

    kind = "yolo"

    def __init__(self, spec: str, root: Path) -> None:
        """Lists the images under ``root/images``.

        Raises:
            InvalidInputError: if the two folders or any image are missing.
        """
        self.spec = spec
        self._images = root / "images"
        self._labels = root / "labels"
        for folder in (self._images, self._labels):
            if not folder.is_dir():
                raise InvalidInputError(f"source {spec}: expected a folder {folder}")
        self._records = sorted(
            path.relative_to(self._images).as_posix()
            for path in self._images.rglob("*")
            if path.suffix.lower() in IMAGE_SUFFIXES
        )
        if not self._records:
            raise InvalidInputError(f"source {spec}: no image under {self._images}")

    def records(self, shard: int) -> Sequence[str]:
        """All images."""
        return self._records

    def photo(self, key: str, long_side: int) -> Photo:
        """Reads one image and its label file (see `PhotoSource.photo`)."""
        image_path = self._images / key
        data = read_bytes(image_path, key)
        native_hw = checked_hw(data, image_path, key)
        label_path = (self._labels / key).with_suffix(".txt")
        objects = _read_labels(label_path, native_hw) if label_path.exists() else []
        return make_photo(
            record=key,
            native_hw=native_hw,
            long_side=long_side,
            objects=objects,
            read_data=lambda: data,
            place=(image_path, key),
            background_annotated=False,
            origin={"source": self.spec, "kind": self.kind, "record": key},
        )


def _read_labels(path: Path, native_hw: tuple[int, int]) -> list[PhotoObject]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptRecordError(path, "file", f"cannot be read: {error}") from error
    objects = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        try:
            values = np.array([float(word) for word in words[1:]], np.float64)
        except ValueError as error:
            raise CorruptRecordError(
                path, f"line {number}", f"expected numbers: {error}"
            ) from None
        if len(values) < 6 or len(values) % 2:
            raise CorruptRecordError(
                path,
                f"line {number}",
                f"expected a class and at least 3 x y pairs, got {len(values)} coordinates",
            )
        if not np.isfinite(values).all() or values.min() < -0.01 or values.max() > 1.01:
            raise CorruptRecordError(
                path, f"line {number}", "expected normalised coordinates in [0, 1]"
            )
        points = values.reshape(-1, 2).clip(0.0, 1.0) * (native_hw[1], native_hw[0])
        objects.append(polygon_object(str(number), words[0], [points], native_hw))
    return objects
