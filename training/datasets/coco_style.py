# SPDX-License-Identifier: Apache-2.0
"""Datasets of one COCO-style annotation per object: KINS, and our own `amodal_coco`."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets.base import AmodalDataset, FrameKey
from training.datasets.coco_tables import CocoTables, decode_segmentation, find_image, image_hw
from training.datasets.sample import AmodalSample, ImageFile, Provenance, reading_record

Masks = tuple[NDArray[np.bool_], NDArray[np.bool_]]


class CocoStyleDataset(AmodalDataset):
    """A COCO-style file; its ``annotations`` are single objects unless a subclass says otherwise.

    Subclasses say where images lie and which keys hold the two masks.
    """

    def __init__(self, root: Path, annotations: Path) -> None:
        """Read the tables; masks and images are decoded later, one record at a time.

        Raises:
            DatasetError: a file is missing or is not of this kind.
        """
        super().__init__(root, annotations)
        self.tables = self.read_tables(annotations)

    def read_tables(self, file: Path) -> CocoTables:
        """Images and annotations."""
        return CocoTables.from_json(file)

    @abstractmethod
    def image_folders(self, file_name: str) -> Sequence[str]:
        """Folders under the root where the official release keeps this image."""

    @abstractmethod
    def masks(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> Masks:
        """Amodal and visible mask, (H, W) bool each."""

    def category(self, annotation: Mapping[str, Any]) -> tuple[int | str | None, str]:
        """Category id and name."""
        category_id = annotation.get("category_id")
        return category_id, self.tables.category_name(category_id)

    def video(self, image: Mapping[str, Any]) -> tuple[int | str | None, int | None]:
        """Video and frame number of an image record; stills by default."""
        return None, None

    def place(self, index: int) -> tuple[Mapping[str, Any], str]:
        """The annotation that record `index` is in, checked for nothing, and the record's name."""
        annotation = self.tables.annotations[index]
        named = isinstance(annotation, Mapping) and "id" in annotation
        return annotation, f"annotation {index}" + (f" (id {annotation['id']})" if named else "")

    def object_in(
        self, annotation: Mapping[str, Any], index: int
    ) -> tuple[Mapping[str, Any], int | str]:
        """What record `index` says of its object, and the object's identity."""
        return annotation, annotation.get("id", index)

    def __len__(self) -> int:
        return len(self.tables.annotations)

    def frame_key(self, index: int) -> FrameKey:
        """Image, video and frame, from the tables alone."""
        annotation, _ = self.place(index)
        image_id = annotation.get("image_id") if isinstance(annotation, Mapping) else None
        if not isinstance(image_id, int | str):  # corrupt; the record says so when it is read
            image_id = None
        video_id, frame = self.video(self.tables.images.get(image_id, {}))
        return FrameKey(image=image_id, video=video_id, frame=frame or 0)

    def __getitem__(self, index: int) -> AmodalSample:
        annotation, record = self.place(index)
        provenance = Provenance(self.annotations, record)
        with reading_record(self.annotations, record):
            image = self.tables.image(annotation)
            hw = image_hw(image)
            path = find_image(
                self.root, image["file_name"], self.image_folders(image["file_name"])
            )
            found, instance_id = self.object_in(annotation, index)
            amodal, visible = self.masks(found, hw)
            video_id, frame = self.video(image)
            category_id, category_name = self.category(found)
            return AmodalSample(
                image=ImageFile.open(path, hw, provenance),
                amodal_mask=amodal,
                visible_mask=visible,
                category_id=category_id,
                category_name=category_name,
                image_id=image["id"],
                instance_id=instance_id,
                provenance=provenance,
                video_id=video_id,
                frame=frame,
                track_id=found.get("track_id"),
            )


def visible_or_amodal(
    annotation: Mapping[str, Any], amodal: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The ``visible_mask``; where an annotation has none the object is not occluded (COCOA)."""
    if annotation.get("visible_mask") is None:
        return amodal
    hw = (amodal.shape[0], amodal.shape[1])
    return decode_segmentation(annotation["visible_mask"], hw)


class KinsDataset(CocoStyleDataset):
    """``instances_{train,val}.json`` or ``update_{train,test}_2020.json``, told apart by keys.

    Original: ``segmentation`` (amodal polygons, all merged) and ``inmodal_seg`` (RLE). 2020:
    ``a_segm`` and ``i_segm`` (polygons). Categories are mapped by id: the original has no
    instance of category 3, so positions and ids differ.
    """

    name = "kins"

    def image_folders(self, file_name: str) -> Sequence[str]:
        """``training/image_2`` or ``testing/image_2``: both hold a ``000000.png``."""
        split = "training" if "train" in self.annotations.name else "testing"
        return [f"{split}/image_2", split]

    def masks(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> Masks:
        """Amodal and visible mask of either release."""
        keys = ("a_segm", "i_segm") if "a_segm" in annotation else ("segmentation", "inmodal_seg")
        amodal, visible = (decode_segmentation(annotation[key], hw) for key in keys)
        return amodal, visible


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
