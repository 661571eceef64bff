# SPDX-License-Identifier: Apache-2.0
"""Sample i of a run, from nothing but the settings and i; the same for a data loader.

A data loader has samples composed on the fly, or read from shards; no torch is needed. Both
classes have ``__len__`` and ``__getitem__``, which is all a `torch.utils.data.DataLoader` asks
for.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amodal_ros.errors import InvalidInputError
from training.taos.clips import compose_clip
from training.taos.compose import Plan, compose_still, draw_plan
from training.taos.config import TaosConfig
from training.taos.judge import Verdict, VlmJudge, VlmJudgeConfig, judged
from training.taos.materials import Materials
from training.taos.shards import shard_files, stored_samples
from training.taos.sources import PhotoSource, open_source
from training.taos.types import DrawReport, TaosClip, TaosSample
from training.untrusted import CorruptRecordError, RejectedError


class TaosSampler:
    """Draws samples by number; the same settings give the same sample in any process."""

    def __init__(
        self,
        config: TaosConfig,
        sources: Sequence[str],
        *,
        cache: Path,
        weights: Sequence[float] | None = None,
        judge: VlmJudgeConfig | None = None,
        skip_bad: bool = False,
    ) -> None:
        """Opens the sources; `left_out` counts annotations that mark no object, by source.

        Args:
            config: settings.
            sources: ``KIND:PATH`` strings.
            cache: folder for rendered views and self-made masks.
            weights: how often each source is drawn from; equal by default.
            judge: settings of the VLM judge, or None for geometry alone.
            skip_bad: count and list corrupt records instead of raising.

        Raises:
            InvalidInputError: for no source, or weights that do not fit.
            CorruptRecordError: for a source file that is unusable as a whole.
        """
        if not sources:
            raise InvalidInputError("expected at least one source KIND:PATH, got none")
        weights = [1.0] * len(sources) if weights is None else list(weights)
        if len(weights) != len(sources) or min(weights) < 0 or sum(weights) <= 0:
            raise InvalidInputError(
                f"weights: expected {len(sources)} numbers, not negative, got {weights}"
            )
        self._config = config
        self._vlm = None if judge is None else VlmJudge(judge)
        self._skip_bad = skip_bad
        opened = [open_source(spec, config, cache) for spec in sources]
        self._materials = Materials(opened, weights, config)
        self.left_out = {
            source.spec: source.left_out
            for source in opened
            if isinstance(source, PhotoSource) and source.left_out
        }
        self._bound: int | None = None

    def draw(self, index: int) -> DrawReport:
        """Draws sample (or clip) `index`, trying up to `max_attempts` times.

        Raises:
            CorruptRecordError: for a corrupt record, unless `skip_bad` is set.
        """
        shard = index // self._config.shard_size
        if shard != self._bound:
            self._materials.bind(shard)
            self._bound = shard
        report = DrawReport(index)
        whole = np.random.SeedSequence(self._config.seed, spawn_key=(index,))
        plan = draw_plan(np.random.default_rng(whole), self._config)
        for attempt in range(self._config.max_attempts):
            seed = np.random.SeedSequence(self._config.seed, spawn_key=(index, attempt))
            try:
                result = self._compose(np.random.default_rng(seed), plan, index, attempt)
            except RejectedError as error:
                report.reject(error.reason)
                continue
            except CorruptRecordError as error:
                if not self._skip_bad:
                    raise
                report.reject("bad_record")
                report.bad_records.append(str(error))
                continue
            verdict = self._verdict(result)
            if verdict.accepted:
                report.result = result
                return report
            report.reject(verdict.reason)
            if not verdict.conclusive:
                return report
        report.reject("gave_up")
        return report

    def _compose(
        self, rng: np.random.Generator, plan: Plan, index: int, attempt: int
    ) -> TaosSample | TaosClip:
        made_by = {"seed": self._config.seed, "index": index, "attempt": attempt}
        if self._config.frames == 1:
            return _note(compose_still(rng, plan, self._materials, self._config), made_by)
        clip = compose_clip(rng, plan, self._materials, self._config)
        made_by["video_id"] = index
        return TaosClip(tuple(_note(frame, made_by) for frame in clip.frames))

    def _verdict(self, result: TaosSample | TaosClip) -> Verdict:
        """A clip stands or falls with each of its frames; the most hidden one is asked first."""
        frames = [result] if isinstance(result, TaosSample) else result.frames
        for frame in sorted(frames, key=lambda frame: -frame.occlusion_rate):
            verdict = judged(frame, self._config, self._vlm)
            if not verdict.accepted:
                return verdict
        return Verdict(accepted=True)


def _note(sample: TaosSample, made_by: dict[str, int]) -> TaosSample:
    provenance = {
        **sample.provenance,
        **made_by,
        "occlusion_rate": round(sample.occlusion_rate, 5),
        "hw": list(sample.amodal.shape),
    }
    return dataclasses.replace(sample, provenance=provenance)


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
        skip_bad: bool = False,
    ) -> None:
        """Takes the arguments of `TaosSampler`, and how many samples an epoch has."""
        if count < 1:
            raise InvalidInputError(f"count: expected at least 1, got {count}")
        self._count = count
        self._open = functools.partial(
            TaosSampler,
            config,
            tuple(sources),
            cache=cache,
            weights=weights,
            skip_bad=skip_bad,
        )
        self._sampler: TaosSampler | None = None

    def __len__(self) -> int:
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
            self._sampler = self._open()
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
        return len(self._samples)

    def __getitem__(self, index: int) -> TaosSample:
        """Decode a sample.

        Raises:
            IndexError: there is no such sample.
            CorruptRecordError: naming shard and sample.
        """
        return self._samples[index].read()
