# SPDX-License-Identifier: Apache-2.0
"""Clips with their truth: rendered ones with whole masks, real ones with visible masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_box
from training.datasets import AmodalCocoDataset
from training.datasets.sample import ImageFile, Provenance

MIN_VISIBLE_PX = 40  # as in the stills of the tabletop benchmark: less cannot be prompted
CLIPS_FILE = "clips.json"


@dataclass(frozen=True, eq=False)
class TrueObject:
    """An annotated object in one frame.

    Attributes:
        name: its identity in the clip.
        visible_mask: (H, W) bool; empty where nothing of it can be seen.
        amodal_mask: (H, W) bool, the whole object, not empty; None: the clip does not tell.
    """

    name: int
    visible_mask: NDArray[np.bool_]
    amodal_mask: NDArray[np.bool_] | None = None

    @cached_property
    def is_visible(self) -> bool:
        """Whether enough of it is seen for a box."""
        return int(np.count_nonzero(self.visible_mask)) >= MIN_VISIBLE_PX

    @cached_property
    def visible_box_xyxy(self) -> NDArray[np.float32]:
        """(4,) float32 tight box of the visible mask, half-open original pixels."""
        return np.array(mask_box(self.visible_mask), np.float32)


@dataclass(frozen=True, eq=False)
class ClipFrame:
    """One frame of a clip.

    Attributes:
        number: in the clip.
        stamp_s: its time.
        image: the picture, read when asked for.
        objects: the annotated objects.
    """

    number: int
    stamp_s: float
    image: ImageFile
    objects: Sequence[TrueObject]

    @cached_property
    def image_rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8."""
        return self.image.load()

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.hw


class ClipSource(Protocol):
    """Where a clip is read from."""

    @property
    def name(self) -> str:
        """For people and file names."""

    @property
    def key(self) -> str:
        """What tells it from any other clip, stride included."""

    @property
    def number(self) -> int:
        """Of the clip in its folder, 0 or more: part of the seed of what goes wrong in it."""

    @property
    def frame_rate_hz(self) -> float:
        """Of the clip, before any frame is left out."""

    def frames(self) -> list[ClipFrame]:
        """Reads the clip's truth; images are read when asked for."""


@dataclass(frozen=True)
class RenderedClip:
    """A clip in ``amodal_coco``; see `ClipSource`.

    Attributes:
        annotations: the file.
        number: the clip's video id.
        images: for each frame the dataset's indices of its objects.
        frame_rate_hz: of the clip.
        stride: every so-manieth frame is used.
    """

    annotations: Path
    number: int
    images: tuple[tuple[int, ...], ...]
    frame_rate_hz: float
    stride: int

    @property
    def name(self) -> str:
        """See `ClipSource`."""
        return f"{self.annotations.parent.name}_{self.number:03d}"

    @property
    def key(self) -> str:
        """See `ClipSource`."""
        return f"{self.name} {len(self.images)} {self.frame_rate_hz} {self.stride}"

    def frames(self) -> list[ClipFrame]:
        """See `ClipSource`."""
        dataset = AmodalCocoDataset(self.annotations.parent, self.annotations)
        frames = []
        for indices in self.images:
            samples = list(dataset.read(indices))
            number = int(samples[0].frame or 0)
            if number % self.stride == 0:
                objects = [
                    TrueObject(int(one.track_id or 0), one.visible_mask, one.amodal_mask)
                    for one in samples
                ]
                stamp_s = number / self.frame_rate_hz
                frames.append(ClipFrame(number, stamp_s, samples[0].image, objects))
        return frames


@dataclass(frozen=True)
class LabelledClip:
    """A clip in DAVIS's layout; see `ClipSource`.

    The folder holds ``00000.jpg`` and so on, and beside each picture ``00000.png`` of its size,
    whose values, or the indices of whose palette, are the objects: 0 is the background. In a
    picture with one value beside 0 that is the one object.

    Attributes:
        folder: of the clip.
        number: of the clip among its neighbours.
        frame_rate_hz: of the clip.
        stride: every so-manieth frame is used.
    """

    folder: Path
    number: int
    frame_rate_hz: float
    stride: int

    @property
    def name(self) -> str:
        """See `ClipSource`."""
        return self.folder.name

    @property
    def key(self) -> str:
        """See `ClipSource`."""
        return f"{self.folder.name} {len(labelled_frames(self.folder))} {self.frame_rate_hz} " + (
            f"{self.stride}"
        )

    def frames(self) -> list[ClipFrame]:
        """See `ClipSource`.

        Raises:
            InvalidInputError: a label that does not fit its picture.
            CorruptRecordError: a picture that cannot be read.
        """
        numbered = list(enumerate(labelled_frames(self.folder)))[:: self.stride]
        names: set[int] = set()
        frames = []
        for number, picture in numbered:
            image = ImageFile.open(picture, None, Provenance(picture, picture.name))
            label = _read_label(picture.with_suffix(".png"), image.hw)
            names |= set(np.unique(label).tolist()) - {0}
            objects = [TrueObject(name, label == name) for name in sorted(names)]
            frames.append(ClipFrame(number, number / self.frame_rate_hz, image, objects))
        return frames


def labelled_frames(folder: Path) -> list[Path]:
    """The pictures of a folder in DAVIS's layout that have a label, in order."""
    pictures = sorted(folder.glob("*.jpg"))
    return [picture for picture in pictures if picture.with_suffix(".png").is_file()]


def _read_label(path: Path, hw: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) uint8: the object at each pixel, 0: none."""
    with Image.open(path) as picture:
        label = np.asarray(picture)
    if label.ndim != 2 or label.shape != hw:
        raise InvalidInputError(f"{path}: expected one channel of size {hw}, got {label.shape}")
    return label.astype(np.uint8)


def find_clips(
    places: Sequence[Path], clips: int | None, stride: int, frame_rate_hz: float
) -> list[ClipSource]:
    """Lists the clips of some places.

    Args:
        places: each an annotation file in ``amodal_coco``, a folder with a `CLIPS_FILE`, a clip
            in DAVIS's layout, or a folder of such clips.
        clips: at most so many of each place; None: all.
        stride: every so-manieth frame is used.
        frame_rate_hz: of the clips.

    Raises:
        InvalidInputError: a place has no clips.
    """
    sources: list[ClipSource] = []
    for place in places:
        if place.is_file() or (place / CLIPS_FILE).is_file():
            file = place if place.is_file() else place / CLIPS_FILE
            found = _rendered(file, frame_rate_hz, stride)
        else:
            found = _labelled(place, frame_rate_hz, stride)
        sources += found[:clips]
    return sources


def _rendered(file: Path, frame_rate_hz: float, stride: int) -> list[ClipSource]:
    dataset = AmodalCocoDataset(file.parent, file)
    images: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for indices in dataset.images():
        sample = dataset[indices[0]]
        if sample.video_id is not None and sample.track_id is not None:
            images[int(sample.video_id)].append(tuple(indices))
    if not images:
        raise InvalidInputError(f"{file}: expected clips with track_id, got none")
    return [
        RenderedClip(file, video, tuple(images[video]), frame_rate_hz, stride)
        for video in sorted(images)
    ]


def _labelled(place: Path, frame_rate_hz: float, stride: int) -> list[ClipSource]:
    folders = [place] if labelled_frames(place) else sorted(place.glob("*/"))
    folders = [folder for folder in folders if labelled_frames(folder)]
    if not folders:
        raise InvalidInputError(
            f"{place}: expected {CLIPS_FILE}, or pictures with labels as DAVIS has them, got none"
        )
    return [
        LabelledClip(folder, number, frame_rate_hz, stride)
        for number, folder in enumerate(folders)
    ]
