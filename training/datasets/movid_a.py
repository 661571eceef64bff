# SPDX-License-Identifier: Apache-2.0
"""MOViD-A: amodal videos rendered with Kubric, used by C2F-Seg and SaVos' successors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.datasets.base import AmodalDataset, FrameKey
from training.datasets.sample import (
    AmodalSample,
    DatasetError,
    ImageFile,
    Provenance,
    reading_record,
)
from training.untrusted import CorruptRecordError


class MovidADataset(AmodalDataset):
    """``{split}/{vid}/`` with ``rgba_full``, ``segmentation_full``, ``segmentation_{obj}`` PNGs.

    An object's value in every id map is its number plus one. Id maps may be palette images: it
    is the index that counts, not the colour. A record is an object in a frame of its
    ``bbox_frames``; in the others it is out of view. ``bboxes`` are normalised, row before
    column; boxes are taken from the masks here.
    """

    name = "movid_a"

    def __init__(self, root: Path, annotations: Path) -> None:
        """List the objects of a split.

        Args:
            root: the folder that holds ``{split}/``.
            annotations: the split's folder, or the official ``{split}_instance.txt``, whose
                lines are ``video_object_value``.

        Raises:
            DatasetError: something is missing or is not of this kind.
        """
        super().__init__(root, annotations)
        if annotations.is_dir():
            self._split = annotations
            videos = sorted(path.parent.name for path in annotations.glob("*/metadata.json"))
            wanted = None
        else:
            self._split = root / annotations.name.split("_")[0]
            wanted = _instance_list(annotations)
            videos = list(dict.fromkeys(video for video, _ in wanted))
        if not videos:
            raise DatasetError(f"{annotations}: no video with a metadata.json in {self._split}")
        self._metadata = {video: self._read_metadata(video) for video in videos}
        self._records = [
            (video, number, int(frame))
            for video, metadata in self._metadata.items()
            for number, instance in enumerate(metadata["instances"])
            if wanted is None or (video, number) in wanted
            for frame in instance["bbox_frames"]
        ]

    def __len__(self) -> int:
        return len(self._records)

    def frame_key(self, index: int) -> FrameKey:
        """Image, video and frame, from the tables alone."""
        video, _, frame = self._records[index]
        return FrameKey(image=(video, frame), video=video, frame=frame)

    def __getitem__(self, index: int) -> AmodalSample:
        video, number, frame = self._records[index]
        folder = self._split / video
        record = f"object {number}, frame {frame}"
        file = folder / "metadata.json"
        provenance = Provenance(file, record)
        with reading_record(file, record):
            declared = self._metadata[video]["metadata"]
            hw = int(declared["height"]), int(declared["width"])
            ids = _id_map(folder / f"segmentation_full_{frame:05d}.png", hw)
            whole = _id_map(folder / f"segmentation_{number}_{frame:05d}.png", hw)
            instance = self._metadata[video]["instances"][number]
            visible = ids == number + 1
            return AmodalSample(
                image=ImageFile.open(folder / f"rgba_full_{frame:05d}.png", hw, provenance),
                amodal_mask=whole == number + 1,
                visible_mask=visible,
                category_id=instance.get("category"),
                category_name=str(instance.get("category", "")),
                image_id=f"{video}/{frame:05d}",
                instance_id=f"{video}/{number}/{frame}",
                provenance=provenance,
                video_id=video,
                frame=frame,
                track_id=number,
                loss_mask=(ids == 0) | visible,
            )

    def _read_metadata(self, video: str) -> Mapping[str, Any]:
        file = self._split / video / "metadata.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            for instance in content["instances"]:
                instance["bbox_frames"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{file}: is not MOViD-A metadata: {error}") from error
        return content


def _instance_list(file: Path) -> dict[tuple[str, int], int]:
    wanted: dict[tuple[str, int], int] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").split(), start=1):
        parts = line.split("_")
        if len(parts) != 3 or not all(part.isdigit() for part in parts):
            raise CorruptRecordError(file, f"line {number}", f"{line!r} is not video_object_value")
        video, instance, value = parts[0], int(parts[1]), int(parts[2])
        if value != instance + 1:
            raise CorruptRecordError(
                file,
                f"line {number}",
                f"object {instance} has the value {value}, not {instance + 1}",
            )
        wanted[video, instance] = value
    return wanted


def _id_map(path: Path, hw: tuple[int, int]) -> NDArray[np.int64]:
    with Image.open(path) as image:
        ids = np.asarray(image)
    if ids.shape != hw:
        raise ValueError(f"{path} has the shape {ids.shape}, the metadata says {hw}")
    return ids.astype(np.int64)
