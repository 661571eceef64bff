# SPDX-License-Identifier: Apache-2.0
"""Rendered masks as `amodal_coco`: COCO with amodal `segmentation` and `visible_mask`."""

from __future__ import annotations

from typing import Any

import numpy as np

from amodal_ros.image.masks import mask_box
from amodal_ros.image.rle import encode_rle


class AmodalCocoWriter:
    """Collects frames and their objects.

    An image has `id, file_name, width, height, video_id, frame`; an annotation `id, image_id,
    category_id, track_id, segmentation` (amodal RLE), `visible_mask` (RLE), `bbox` (amodal, xywh),
    `visible_bbox`, `area` (amodal pixels) and `iscrowd` 0. Objects outside the picture have none.
    """

    def __init__(self, info: dict[str, Any], names: list[str], categories: list[str]) -> None:
        self._names = names
        ids = {name: number for number, name in enumerate(dict.fromkeys(categories), start=1)}
        self._category_ids = [ids[category] for category in categories]
        self._data: dict[str, Any] = {
            "info": info,
            "images": [],
            "annotations": [],
            "categories": [{"id": number, "name": name} for name, number in ids.items()],
        }

    def add_frame(
        self, file_name: str, video_id: int, frame: int, visible: np.ndarray, amodal: np.ndarray
    ) -> None:
        """Adds one picture with the masks (N, H, W) bool of all objects, in their order."""
        images, records = self._data["images"], self._data["annotations"]
        height, width = amodal.shape[1:]
        image_id = len(images) + 1
        images.append(
            {
                "id": image_id,
                "file_name": file_name,
                "width": width,
                "height": height,
                "video_id": video_id,
                "frame": frame,
            }
        )
        for index, (seen, whole) in enumerate(zip(visible, amodal, strict=True)):
            if not whole.any():
                continue
            records.append(
                {
                    "id": len(records) + 1,
                    "image_id": image_id,
                    "category_id": self._category_ids[index],
                    "track_id": index + 1,
                    "name": self._names[index],
                    "segmentation": encode_rle(whole),
                    "visible_mask": encode_rle(seen & whole),
                    "bbox": _xywh(whole),
                    "visible_bbox": _xywh(seen & whole),
                    "area": int(whole.sum()),
                    "iscrowd": 0,
                }
            )

    def result(self) -> dict[str, Any]:
        """The data set, ready for `json.dump`."""
        return self._data


def _xywh(mask: np.ndarray) -> list[int]:
    x0, y0, x1, y1 = (int(value) for value in mask_box(mask))
    return [x0, y0, x1 - x0, y1 - y0]
