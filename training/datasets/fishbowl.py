# SPDX-License-Identifier: Apache-2.0
"""FISHBOWL (Tangemann et al., 2021) as released with SaVos and used by C2F-Seg."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.datasets.base import AmodalDataset, FrameKey
from training.datasets.coco_tables import decode_segmentation
from training.datasets.restricted_pickle import load_restricted
from training.datasets.sample import (
    AmodalSample,
    DatasetError,
    ImageFile,
    Provenance,
    reading_record,
)


class FishbowlDataset(AmodalDataset):
    """``{m}_data/{m}_data.pkl`` and ``{m}_data/{m}_frames/{vid:05d}/{t:05d}.png``.

    ``d["vid_obj"][t]`` holds ``VM``, ``FM`` and ``loss_mask_weight`` (RLE, each in a list of one)
    and ``VM_bx``, ``FM_bx``, whose order is ``rmin, rmax, cmin, cmax``: rows first. Boxes are
    taken from the masks here.
    """

    name = "fishbowl"

    def __init__(self, root: Path, annotations: Path) -> None:
        """Unpickle the file, restricted to data.

        Args:
            root: the folder that holds ``{m}_data``, that folder itself, or the frames' folder.
            annotations: ``{m}_data.pkl``.

        Raises:
            DatasetError: a file is missing, unsafe, or not of this kind.
        """
        super().__init__(root, annotations)
        content = load_restricted(annotations)
        if not isinstance(content, Mapping):
            raise DatasetError(f"{annotations}: holds a {type(content).__name__}, expected a dict")
        self._objects: Mapping[str, Mapping[int, Mapping[str, Any]]] = content
        self._records: list[tuple[str, int]] = []
        for key, frames in content.items():
            if not isinstance(key, str) or key.count("_") != 1 or not isinstance(frames, Mapping):
                raise DatasetError(
                    f"{annotations}: the key {key!r} is not 'video_object' with a dict of frames"
                )
            self._records += [(key, frame) for frame in sorted(frames)]

    def __len__(self) -> int:
        return len(self._records)

    def frame_key(self, index: int) -> FrameKey:
        """Image, video and frame, from the tables alone."""
        key, frame = self._records[index]
        video = key.split("_")[0]
        return FrameKey(image=(video, int(frame)), video=video, frame=int(frame))

    def __getitem__(self, index: int) -> AmodalSample:
        key, frame = self._records[index]
        record = f"object {key}, frame {frame}"
        provenance = Provenance(self.annotations, record)
        video, track = key.split("_")
        with reading_record(self.annotations, record):
            entry = self._objects[key][frame]
            image = ImageFile.open(self._frame_path(video, int(frame)), None, provenance)
            loss_mask = entry.get("loss_mask_weight")
            return AmodalSample(
                image=image,
                amodal_mask=decode_segmentation(entry["FM"], image.hw),
                visible_mask=decode_segmentation(entry["VM"], image.hw),
                category_id=None,
                category_name="fish",
                image_id=f"{video}/{int(frame):05d}",
                instance_id=f"{key}/{int(frame)}",
                provenance=provenance,
                video_id=video,
                frame=int(frame),
                track_id=track,
                loss_mask=None if loss_mask is None else decode_segmentation(loss_mask, image.hw),
            )

    def _frame_path(self, video: str, frame: int) -> Path:
        split = self.annotations.name.split("_")[0]
        frames = f"{split}_frames"
        name = f"{frame:05d}.png"
        folders = [self.root / f"{split}_data" / frames, self.root / frames, self.root]
        places = [folder / number for folder in folders for number in (video, video.zfill(5))]
        return next((p / name for p in places if (p / name).is_file()), places[0] / name)
