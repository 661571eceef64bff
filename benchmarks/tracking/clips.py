# SPDX-License-Identifier: Apache-2.0
"""Clips with their truth, and the boxes that a detector would give of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from training.datasets import AmodalCocoDataset, AmodalSample

MIN_VISIBLE_PX = 40  # as in the stills of the tabletop benchmark: less cannot be prompted


@dataclass(frozen=True, eq=False)
class ClipFrame:
    """One frame of a clip.

    Attributes:
        number: in the clip.
        stamp_s: its time.
        samples: the annotated objects.
        detected: (N,) bool, which of them a detector gives a box of in this frame.
    """

    number: int
    stamp_s: float
    samples: Sequence[AmodalSample]
    detected: NDArray[np.bool_]

    @cached_property
    def image_rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8."""
        return self.samples[0].image.load()

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width."""
        return self.samples[0].image.hw

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """(D, 4) float32: the visible boxes of what is detected."""
        boxes = [self.samples[k].visible_box_xyxy for k in np.flatnonzero(self.detected).tolist()]
        return np.array(boxes, np.float32).reshape(-1, 4)


@dataclass(frozen=True)
class ClipSource:
    """Where a clip is read from, and how boxes of it are lost.

    Attributes:
        annotations: file in ``amodal_coco``.
        video_id: of the clip.
        images: for each frame the dataset's indices of its objects.
        frame_rate_hz: of the clip, before `stride`.
        stride: every so-manieth frame is used.
        drop: share of the boxes that the detector misses.
        seed: of what it misses.
    """

    annotations: Path
    video_id: int
    images: tuple[tuple[int, ...], ...]
    frame_rate_hz: float
    stride: int
    drop: float
    seed: int

    @property
    def name(self) -> str:
        """For people and file names."""
        return f"{self.annotations.parent.name}_{self.video_id:03d}"

    def frames(self) -> list[ClipFrame]:
        """Reads the clip's truth; images are read when asked for."""
        dataset = AmodalCocoDataset(self.annotations.parent, self.annotations)
        frames = []
        for indices in self.images:
            samples = list(dataset.read(indices))
            number = int(samples[0].frame or 0)
            if number % self.stride == 0:
                seen = [self._is_detected(sample, number) for sample in samples]
                frames.append(
                    ClipFrame(number, number / self.frame_rate_hz, samples, np.array(seen, bool))
                )
        return frames

    def _is_detected(self, sample: AmodalSample, frame: int) -> bool:
        draw = np.random.default_rng(
            [self.seed, self.video_id, int(sample.track_id or 0), frame]
        ).random()
        return is_visible(sample) and draw >= self.drop


def is_visible(sample: AmodalSample) -> bool:
    """Whether enough of an object is seen for a box."""
    return int(np.count_nonzero(sample.visible_mask)) >= MIN_VISIBLE_PX


def find_clips(
    annotations: Sequence[Path],
    clips: int | None,
    stride: int,
    drop: float,
    seed: int,
    frame_rate_hz: float,
) -> list[ClipSource]:
    """Lists the clips of annotation files.

    Args:
        annotations: files in ``amodal_coco``.
        clips: at most so many of each file; None: all.
        stride: see `ClipSource`.
        drop: likewise.
        seed: likewise.
        frame_rate_hz: likewise.

    Raises:
        InvalidInputError: a file has no clips.
    """
    sources: list[ClipSource] = []
    for file in annotations:
        dataset = AmodalCocoDataset(file.parent, file)
        images: dict[int, list[tuple[int, ...]]] = defaultdict(list)
        for indices in dataset.images():
            sample = dataset[indices[0]]
            if sample.video_id is not None and sample.track_id is not None:
                images[int(sample.video_id)].append(tuple(indices))
        if not images:
            raise InvalidInputError(f"{file}: expected clips with track_id, got none")
        sources += [
            ClipSource(file, video, tuple(images[video]), frame_rate_hz, stride, drop, seed)
            for video in sorted(images)[:clips]
        ]
    return sources
