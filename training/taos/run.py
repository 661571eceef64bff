# SPDX-License-Identifier: Apache-2.0
"""What a run is to make, and how one shard of it is made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import file_sha256, whole_file, write_text
from training.taos.config import TaosConfig
from training.taos.judge import CompositeJudge, GeometricJudge, JudgePanel
from training.taos.sampler import TaosSampler
from training.taos.shards import ShardWriter, samples_of
from training.taos.statistics import TaosStatistics
from training.taos.vlm_judge import VlmJudge, VlmJudgeConfig


@dataclass(frozen=True, kw_only=True)
class TaosRun:
    """Everything a worker needs to make any shard of the run.

    Attributes:
        config: what the composites are like.
        sources: ``KIND:PATH`` strings.
        weights: how often each source is drawn from; None for equally often.
        count: samples (or clips) asked for.
        out: folder of the shards.
        cache: folder of rendered views and self-made masks.
        judge: settings of the VLM judge, or None for geometry alone.
        skip_bad: count and list corrupt records instead of stopping.
    """

    config: TaosConfig
    sources: tuple[str, ...]
    count: int
    out: Path
    cache: Path
    weights: tuple[float, ...] | None = None
    judge: VlmJudgeConfig | None = None
    skip_bad: bool = False

    def __post_init__(self) -> None:
        """Checks the count.

        Raises:
            InvalidInputError: if it is below 1.
        """
        if self.count < 1:
            raise InvalidInputError(f"--count: expected at least 1, got {self.count}")

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.count // self.config.shard_size)

    def manifest(self) -> dict[str, Any]:
        """What decides the content; workers, engine and cache do not."""
        return {
            "schema_version": 1,
            "config": self.config.to_dict(),
            "sources": list(self.sources),
            "weights": list(self.weights) if self.weights else None,
            "count": self.count,
            "judge": self.judge.to_dict() if self.judge else None,
        }

    def sampler(self) -> TaosSampler:
        """Opens the sources."""
        judge: CompositeJudge = GeometricJudge(self.config)
        if self.judge is not None:
            judge = JudgePanel(judge, VlmJudge(self.judge))
        return TaosSampler(
            self.config,
            self.sources,
            cache=self.cache,
            weights=self.weights,
            judge=judge,
            skip_bad=self.skip_bad,
        )


def shard_path(run: TaosRun, shard: int) -> Path:
    """Where a finished shard lies."""
    return run.out / f"taos-{shard:06d}.tar"


def make_shard(run: TaosRun, sampler: TaosSampler, shard: int) -> dict[str, Any]:
    """Makes one shard and its report, both appearing at once when complete."""
    # One thread: the speed is in the processes, and sums keep their order.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    path = shard_path(run, shard)
    statistics = TaosStatistics()
    try:
        with whole_file(path) as unfinished:
            with unfinished.open("wb") as file:
                writer = ShardWriter(file, run.config)
                first = shard * run.config.shard_size
                for index in range(first, min(first + run.config.shard_size, run.count)):
                    report = sampler.draw(index)
                    statistics.add(report)
                    if report.result is not None:
                        for sample in samples_of(report.result):
                            writer.write(sample)
                writer.close()
            content = {
                "shard": path.name,
                "bytes": unfinished.stat().st_size,
                "sha256": file_sha256(unfinished),
                "statistics": statistics.to_dict(),
            }
            write_text(path.with_suffix(".json"), dump(content))
    finally:
        cv2.setNumThreads(threads)
    return content


def dump(content: dict[str, Any]) -> str:
    """JSON text, the same for the same content."""
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
