# SPDX-License-Identifier: Apache-2.0
"""COCOA (Zhu et al., CVPR 2017), its objects with COCO classes, and MP3D-Amodal of one skeleton.

COCOA and MP3D-Amodal (Zhan et al., CVPR 2024): an annotation is an image; its ``regions`` are the
objects. COCOA-cls (Follmann et al., 2019): COCO's classes, as a flat COCO file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets.coco_style import CocoStyleDataset, Masks, visible_or_amodal
from training.datasets.coco_tables import CocoTables, decode_segmentation
from training.datasets.restricted_pickle import load_restricted
from training.datasets.sample import (
    DatasetError,
)


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


class RegionsDataset(CocoStyleDataset):
    """COCOA's skeleton: annotations joined to images on ``image_id``, never on position."""

    def __init__(self, root: Path, annotations: Path) -> None:
        """Read the tables and number the regions of all images.

        Raises:
            DatasetError: a file is missing or is not of this kind.
        """
        super().__init__(root, annotations)
        self._places: list[tuple[int, int]] = []
        for position, annotation in enumerate(self.tables.annotations):
            regions = annotation.get("regions") if isinstance(annotation, Mapping) else None
            if not isinstance(regions, list):
                raise DatasetError(
                    f"{annotations}: annotation {position} has no list 'regions'; this is not a "
                    f"{self.name} file"
                )
            self._places += [(position, region) for region in range(len(regions))]

    def __len__(self) -> int:
        return len(self._places)

    def place(self, index: int) -> tuple[Mapping[str, Any], str]:
        """The annotation of the region's image."""
        position, number = self._places[index]
        annotation = self.tables.annotations[position]
        image_id = annotation.get("image_id")
        return annotation, f"annotation {position} (image_id {image_id}), region {number}"

    def object_in(
        self, annotation: Mapping[str, Any], index: int
    ) -> tuple[Mapping[str, Any], int | str]:
        """The region."""
        position, number = self._places[index]
        return annotation["regions"][number], f"{annotation.get('id', position)}/{number}"


class CocoaDataset(RegionsDataset):
    """``COCO_amodal_{train,val,test}2014.json``: one flat polygon per region.

    No ``visible_mask`` means not occluded; an all-zero one means fully hidden. The image date may
    be spelt ``data_captured``; nothing depends on it. Objects have names, not categories.
    """

    name = "cocoa"

    def image_folders(self, file_name: str) -> Sequence[str]:
        """COCO's split folders."""
        return coco_folders(file_name)

    def masks(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> Masks:
        """Amodal polygon; visible RLE, or the same mask where there is none."""
        amodal = decode_segmentation(annotation["segmentation"], hw)
        return amodal, visible_or_amodal(annotation, amodal)

    def category(self, annotation: Mapping[str, Any]) -> tuple[int | str | None, str]:
        """The annotator's free-text name."""
        return None, str(annotation.get("name", ""))


class Mp3dAmodalDataset(RegionsDataset):
    """``MP3D_seleted_{eval,train}_10.29.pkl`` (their spelling), read with a restricted unpickler.

    Both masks are RLE and every region has both: a COCOA reader, which expects polygons, fails.
    """

    name = "mp3d_amodal"

    def read_tables(self, file: Path) -> CocoTables:
        """Read the pickle without running anything from it."""
        return CocoTables.from_content(file, load_restricted(file))

    def image_folders(self, file_name: str) -> Sequence[str]:
        """The release names images relative to its own root, sometimes under ``images``."""
        return ["images"]

    def masks(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> Masks:
        """Both RLE; neither may be missing."""
        amodal: NDArray[np.bool_] = decode_segmentation(annotation["segmentation"], hw)
        return amodal, decode_segmentation(annotation["visible_mask"], hw)

    def category(self, annotation: Mapping[str, Any]) -> tuple[int | str | None, str]:
        """Category by id; the release stores names in some files."""
        category_id = annotation["category_id"]
        if not isinstance(category_id, int | str):
            category_id = int(category_id)
        return category_id, self.tables.category_name(category_id)
