# SPDX-License-Identifier: Apache-2.0
"""COCOA-cls: COCOA's objects with COCO classes, as a flat COCO file (Follmann et al., 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.datasets.coco_style import CocoStyleDataset, Masks, visible_or_amodal
from training.datasets.masks import decode_segmentation


class CocoaClsDataset(CocoStyleDataset):
    """``COCO_amodal_{train,val}2014_with_classes.json``.

    ``iscrowd`` is not looked at: the official file sets it because the masks are RLE, and COCO's
    own tools would then leave the objects out.
    """

    name = "cocoa_cls"

    def image_folders(self, file_name: str) -> Sequence[str]:
        """COCO's split folders."""
        return coco_folders(file_name)

    def masks(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> Masks:
        """Amodal ``segmentation``; without ``visible_mask`` the object is not occluded."""
        amodal = decode_segmentation(annotation["segmentation"], hw)
        return amodal, visible_or_amodal(annotation, amodal)


def coco_folders(file_name: str) -> Sequence[str]:
    """``train2014`` for ``COCO_train2014_….jpg``, and so on."""
    return [
        folder
        for split in ("train2014", "val2014", "test2014")
        if split in file_name
        for folder in (split, f"images/{split}")
    ]
