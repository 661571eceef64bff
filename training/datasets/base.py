# SPDX-License-Identifier: Apache-2.0
"""What all datasets have in common: random access, and reading on past corrupt records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.datasets.sample import AmodalSample, DatasetError
from training.untrusted import CorruptRecordError


@dataclass(frozen=True)
class FrameKey:
    """Which image a record belongs to, known without decoding it."""

    image: Hashable
    video: Hashable | None = None
    frame: int = 0


class AmodalDataset(ABC):
    """A random-access collection of `AmodalSample`.

    Records are decoded one by one when asked for: a corrupt one raises `CorruptRecordError`
    there, and does not stand in the way of the others.
    """

    name: str

    def __init__(self, root: Path, annotations: Path) -> None:
        if not root.is_dir():
            raise DatasetError(f"{self.name}: the image folder {root} is not a directory")
        if not annotations.exists():
            raise DatasetError(f"{self.name}: the annotation file {annotations} does not exist")
        self.root = root
        self.annotations = annotations

    @abstractmethod
    def __len__(self) -> int:
        """Number of records."""

    @abstractmethod
    def __getitem__(self, index: int) -> AmodalSample:
        """Decode one record.

        Raises:
            CorruptRecordError: naming file and record.
            IndexError: outside ``[0, len)``.
        """

    @abstractmethod
    def frame_key(self, index: int) -> FrameKey:
        """The image of record `index`, without decoding anything."""

    def occlusion_hint(self, index: int) -> float | None:
        """The occlusion rate of record `index` if the annotation states it; nothing is decoded."""
        return None

    def others(self, index: int) -> NDArray[np.bool_] | None:
        """What is seen of all other objects of the image of record `index`, (H, W) bool.

        None where the dataset does not annotate all objects of an image.
        """
        return None

    def __iter__(self) -> Iterator[AmodalSample]:
        return self.read()

    def read(
        self, indices: Iterable[int] | None = None, bad: list[CorruptRecordError] | None = None
    ) -> Iterator[AmodalSample]:
        """Decode records in order.

        Args:
            indices: which ones; all by default.
            bad: if given, corrupt records are collected there and left out; otherwise the first
                one raises.
        """
        for index in range(len(self)) if indices is None else indices:
            try:
                yield self[index]
            except CorruptRecordError as error:
                if bad is None:
                    raise
                bad.append(error)

    def images(self) -> list[list[int]]:
        """Record indices grouped by image; frames of a video follow one another in order."""
        groups: dict[FrameKey, list[int]] = {}
        for index in range(len(self)):
            groups.setdefault(self.frame_key(index), []).append(index)
        videos: dict[Hashable, int] = {}
        for position, key in enumerate(groups):
            place = key.video if key.video is not None else ("image", key.image)
            videos.setdefault(place, position)

        def order(key: FrameKey) -> tuple[int, int]:
            place = key.video if key.video is not None else ("image", key.image)
            return videos[place], key.frame

        return [groups[key] for key in sorted(groups, key=order)]
