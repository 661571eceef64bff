# SPDX-License-Identifier: Apache-2.0
"""Reads ``amodal_coco``, which `amodal_ros.annotations.amodal_coco` describes and writes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets.coco_style import CocoStyleDataset, Masks
from training.datasets.coco_tables import image_hw
from training.datasets.errors import reading_record
from training.datasets.masks import decode_segmentation


class AmodalCocoDataset(CocoStyleDataset):
    """Reads ``amodal_coco``. Both masks are required; boxes are taken from the masks."""

    name = "amodal_coco"

    def image_folders(self, file_name: str) -> Sequence[str]:
        """Relative to the root, or in its ``images`` folder."""
        return ["images"]

    def masks(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> Masks:
        """Both RLE (compressed or not; polygons are read too)."""
        amodal = decode_segmentation(annotation["segmentation"], hw)
        return amodal, decode_segmentation(annotation["visible_mask"], hw)

    def occlusion_hint(self, index: int) -> float | None:
        """``occlude_rate``, which this project's writer always states."""
        rate = self.tables.annotations[index].get("occlude_rate")
        return None if rate is None else float(rate)

    def others(self, index: int) -> NDArray[np.bool_]:
        """The union of their visible masks, less the object's own."""
        mine = self.tables.annotations[index]
        with reading_record(self.annotations, f"neighbours of annotation {index}"):
            hw = image_hw(self.tables.image(mine))
            seen = np.zeros(hw, dtype=bool)
            for other in self._of_image.get(mine["image_id"], ()):
                if other is not mine:
                    seen |= decode_segmentation(other["visible_mask"], hw)
            return seen & ~decode_segmentation(mine["visible_mask"], hw)

    @functools.cached_property
    def _of_image(self) -> dict[Any, list[Mapping[str, Any]]]:
        groups: dict[Any, list[Mapping[str, Any]]] = {}
        for annotation in self.tables.annotations:
            if isinstance(annotation, Mapping):  # what is no record says so when it is read
                groups.setdefault(annotation.get("image_id"), []).append(annotation)
        return groups

    def video(self, image: Mapping[str, Any]) -> tuple[int | str | None, int | None]:
        """Optional ``video_id`` and ``frame``."""
        frame = image.get("frame")
        return image.get("video_id"), None if frame is None else int(frame)
