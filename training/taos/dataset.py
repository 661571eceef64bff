# SPDX-License-Identifier: Apache-2.0
"""TAOS for a data loader: composed on the fly, or read from shards. No torch needed.

Both classes have ``__len__`` and ``__getitem__``, which is all a
`torch.utils.data.DataLoader` asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from training.taos.config import TaosConfig
from training.taos.judge import CompositeJudge
from training.taos.sampler import TaosSampler
from training.taos.shards import shard_files, stored_samples
from training.taos.types import TaosClip, TaosSample

_FALLBACKS = 20


class TaosDataset:
    """Composes sample i when it is asked for; the same i gives the same sample.

    The sources are opened on first use, so the object is cheap to send to worker processes.
    Negative numbers and numbers beyond `count` are refused.
    """

    def __init__(
        self,
        config: TaosConfig,
        sources: Sequence[str],
        count: int,
        *,
        cache: Path,
        weights: Sequence[float] | None = None,
        judge: CompositeJudge | None = None,
        skip_bad: bool = False,
    ) -> None:
        """Takes the arguments of `TaosSampler`, and how many samples an epoch has."""
        if count < 1:
            raise InvalidInputError(f"count: expected at least 1, got {count}")
        self._config = config
        self._sources = tuple(sources)
        self._count = count
        self._cache = cache
        self._weights = weights
        self._judge = judge
        self._skip_bad = skip_bad
        self._sampler: TaosSampler | None = None

    def __len__(self) -> int:
        """Samples (clips) in an epoch."""
        return self._count

    def __getitem__(self, index: int) -> TaosSample | TaosClip:
        """Sample `index`; where it was left out, the next accepted one beyond the epoch.

        Raises:
            IndexError: if `index` is not in [0, len).
            InvalidInputError: if the sources yield nothing that passes.
            CorruptRecordError: for a corrupt record, unless `skip_bad` is set.
        """
        if not 0 <= index < self._count:
            raise IndexError(f"expected 0 <= index < {self._count}, got {index}")
        if self._sampler is None:
            self._sampler = TaosSampler(
                self._config,
                self._sources,
                cache=self._cache,
                weights=self._weights,
                judge=self._judge,
                skip_bad=self._skip_bad,
            )
        rejects: dict[str, int] = {}
        for turn in range(_FALLBACKS):
            report = self._sampler.draw(index + turn * self._count)
            if report.result is not None:
                return report.result
            rejects.update(report.rejects)
        raise InvalidInputError(f"no composite passes for sample {index}; rejected: {rejects}")

    def __getstate__(self) -> dict[str, object]:
        """Opened sources stay behind."""
        return {**self.__dict__, "_sampler": None}


class TaosShards:
    """The samples of a folder of shards; `shards[i]` opens one file."""

    def __init__(self, folder: Path, limit: int = 0) -> None:
        """List the samples.

        Args:
            folder: of ``taos-*.tar``.
            limit: use only the first so many shards; 0: all.

        Raises:
            InvalidInputError: there are none, or fewer than `limit`.
            CorruptRecordError: a shard is damaged.
        """
        shards = shard_files(folder)
        if not shards or len(shards) < limit:
            raise InvalidInputError(
                f"{folder}: expected at least {max(limit, 1)} taos-*.tar, found {len(shards)}"
            )
        self._samples = [
            sample for shard in shards[: limit or None] for sample in stored_samples(shard)
        ]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._samples)

    def __getitem__(self, index: int) -> TaosSample:
        """Decode a sample.

        Raises:
            IndexError: there is no such sample.
            CorruptRecordError: naming shard and sample.
        """
        return self._samples[index].read()
