# SPDX-License-Identifier: Apache-2.0
"""Objects with known amodal masks, from datasets, rendered scenes or TAOS, drawn by number."""

from __future__ import annotations

import bisect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from training.data.config import DataConfig, SourceConfig
from training.datasets import AmodalDataset, AmodalSample
from training.taos.config import TaosConfig
from training.taos.prefill import prefill_renders
from training.taos.sampler import TaosDataset, TaosShards
from training.taos.types import TaosClip, TaosSample

_TAOS_RUN = 100_000_000  # composites of one run before they repeat
_TAOS_RUNS = 1000


@dataclass(frozen=True, eq=False)
class ObjectMasks:
    """One object of a picture.

    Attributes:
        amodal: (H, W) bool.
        visible: (H, W) bool, inside `amodal`.
        valid: (H, W) bool, where its extent is known; None: everywhere.
        key: its name.
        others: (H, W) bool, what is seen of other objects; None where the source does not say.
        whole_known: False where all that is known is what is seen: `amodal` is then `visible`.
    """

    amodal: NDArray[np.bool_]
    visible: NDArray[np.bool_]
    valid: NDArray[np.bool_] | None
    key: str
    others: NDArray[np.bool_] | None = None
    whole_known: bool = True


@dataclass(frozen=True, eq=False)
class Picture:
    """An image with some of its objects.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        original: (H, W, 3) uint8 RGB before anything was put in front; None if unknown.
        objects: at least one.
    """

    image: NDArray[np.uint8]
    original: NDArray[np.uint8] | None
    objects: tuple[ObjectMasks, ...]


class ObjectSource(ABC):
    """Draws pictures; everything drawn depends on the arguments alone."""

    @abstractmethod
    def draw(self, number: int, rng: np.random.Generator) -> tuple[Picture, ...] | None:
        """The frames of a clip, or one picture.

        Returns:
            None where what was drawn cannot be used; the caller draws again.
        """


class DatasetObjects(ObjectSource):
    """Records of one or more annotation files."""

    def __init__(self, datasets: Sequence[AmodalDataset], config: DataConfig, limit: int) -> None:
        """Sort the records by what is known of their occlusion.

        Args:
            datasets: one after another.
            config: of the data.
            limit: use only the first so many records; 0: all.
        """
        self._datasets = list(datasets)
        self._config = config
        self._ends = list(accumulate(len(dataset) for dataset in datasets))
        total = self._ends[-1] if self._ends else 0
        total = min(total, limit) if limit else total
        if not total:
            raise InvalidInputError("a data source has no records")
        hidden: list[int] = []
        whole: list[int] = []
        for record in range(total):
            dataset, index = self._locate(record)
            rate = dataset.occlusion_hint(index)
            (whole if rate is not None and rate < MIN_OCCLUSION else hidden).append(record)
        self._hidden, self._whole = hidden, whole
        self._groups: dict[tuple[int, object], list[int]] = {}
        if config.objects_per_image > 1 or config.frames > 1:
            for record in range(total):
                which, index = self._locate_number(record)
                key = self._datasets[which].frame_key(index)
                place = key.video if config.frames > 1 and key.video is not None else key.image
                self._groups.setdefault((which, place), []).append(record)

    def __len__(self) -> int:
        return len(self._hidden) + len(self._whole)

    def draw(self, number: int, rng: np.random.Generator) -> tuple[Picture, ...] | None:
        """A record, with others of its image or the next frames of its track."""
        record = self._choose(rng)
        which, index = self._locate_number(record)
        sample = self._datasets[which][index]
        if self._config.frames > 1:
            return self._clip(which, record, sample)
        if np.count_nonzero(sample.visible_mask) < self._config.min_visible_px:
            return None
        samples = [sample]
        if self._config.objects_per_image > 1:
            key = self._datasets[which].frame_key(index)
            others = [r for r in self._groups[which, key.image] if r != record]
            count = min(self._config.objects_per_image - 1, len(others))
            for other in rng.choice(others, size=count, replace=False) if count else ():
                candidate = self._at(int(other))
                if np.count_nonzero(candidate.visible_mask) >= self._config.min_visible_px:
                    samples.append(candidate)
        objects = [_masks(s) for s in samples]
        objects[0] = replace(objects[0], others=self._datasets[which].others(index))
        return (Picture(sample.image.load(), None, tuple(objects)),)

    def _choose(self, rng: np.random.Generator) -> int:
        share = self._config.occluded_share
        if share <= 0 or not self._whole or not self._hidden:
            pick = int(rng.integers(len(self)))
            hidden = pick < len(self._hidden)
            return self._hidden[pick] if hidden else self._whole[pick - len(self._hidden)]
        pool = self._hidden if rng.random() < share else self._whole
        return pool[int(rng.integers(len(pool)))]

    def _clip(self, which: int, record: int, first: AmodalSample) -> tuple[Picture, ...] | None:
        """The record's object in T successive frames in which it is annotated."""
        if np.count_nonzero(first.visible_mask) < self._config.min_visible_px:
            return None
        dataset = self._datasets[which]
        start = dataset.frame_key(self._locate_number(record)[1])
        if start.video is None or first.track_id is None:
            raise InvalidInputError(
                f"data.frames: expected a video dataset with tracks, {dataset.name} gave a still"
            )
        later = [
            (dataset.frame_key(self._locate_number(r)[1]).frame, r)
            for r in self._groups[which, start.video]
        ]
        samples = [first]
        for frame, other in sorted(later):
            if frame == (samples[-1].frame or 0) + 1:
                candidate = self._at(other)
                if candidate.track_id == first.track_id:
                    samples.append(candidate)
            if len(samples) == self._config.frames:
                return tuple(Picture(s.image.load(), None, (_masks(s),)) for s in samples)
        return None

    def _at(self, record: int) -> AmodalSample:
        dataset, index = self._locate(record)
        return dataset[index]

    def _locate(self, record: int) -> tuple[AmodalDataset, int]:
        which, index = self._locate_number(record)
        return self._datasets[which], index

    def _locate_number(self, record: int) -> tuple[int, int]:
        which = bisect.bisect_right(self._ends, record)
        return which, record - (self._ends[which - 1] if which else 0)


class TaosObjects(ObjectSource):
    """TAOS samples, composed when they are wanted."""

    def __init__(self, source: SourceConfig, config: DataConfig, seed: int) -> None:
        """Take the settings; materials are opened on first use."""
        options = dict(source.options)
        if not config.blur:
            options["blur_size"] = 0
        tuples: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in options.items()
        }
        # One seed for all runs, so that rendered views are cached once; runs differ by number.
        settings = TaosConfig(seed=0, frames=config.frames, **tuples)
        self._first = seed % _TAOS_RUNS * _TAOS_RUN
        prefill_renders(source.materials, settings, Path(source.cache))
        self._taos = TaosDataset(
            settings,
            list(source.materials),
            _TAOS_RUN * _TAOS_RUNS,
            cache=Path(source.cache),
            weights=list(source.material_weights) or None,
            skip_bad=source.skip_bad,
        )

    def draw(self, number: int, rng: np.random.Generator) -> tuple[Picture, ...]:
        """Composite `number` of this run."""
        result = self._taos[self._first + number % _TAOS_RUN]
        frames = result.frames if isinstance(result, TaosClip) else (result,)
        return tuple(_composite(frame, number) for frame in frames)


class TaosShardObjects(ObjectSource):
    """TAOS samples from shards, in random order."""

    def __init__(self, source: SourceConfig) -> None:
        self._index = TaosShards(Path(source.path), source.limit)

    def draw(self, number: int, rng: np.random.Generator) -> tuple[Picture, ...]:
        """A random sample."""
        record = int(rng.integers(len(self._index)))
        return (_composite(self._index[record], record),)


MIN_OCCLUSION = 0.02  # less is the outline's rasterisation


def _masks(sample: AmodalSample) -> ObjectMasks:
    visible = sample.visible_mask & sample.amodal_mask
    return ObjectMasks(sample.amodal_mask, visible, sample.loss_mask, str(sample.provenance))


def _composite(sample: TaosSample, number: int) -> Picture:
    key = f"TAOS composite {number}"
    masks = ObjectMasks(sample.amodal, sample.visible, None, key, sample.occluder)
    return Picture(sample.image, sample.original, (masks,))
