# SPDX-License-Identifier: Apache-2.0
"""A run: settings to a folder of shards, over processes or machines, resumable.

A shard is the unit of work. It is written under a temporary name and renamed when complete,
after its report; so a shard exists whole or not at all, and a run that was killed at any
moment goes on with the shards that are missing.
"""

from __future__ import annotations

import concurrent.futures
import json
import logging
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import file_sha256, remove_unfinished, whole_file, write_text
from training.taos.config import TaosConfig
from training.taos.judge import CompositeJudge, GeometricJudge, JudgePanel
from training.taos.sampler import TaosSampler
from training.taos.shards import ShardWriter, samples_of
from training.taos.statistics import TaosStatistics
from training.taos.vlm_judge import VlmJudge, VlmJudgeConfig
from training.worker_processes import end_with_parent

LOGGER = logging.getLogger(__name__)
ENGINES = ("local", "ray")


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


def run_taos(run: TaosRun, *, workers: int = 1, engine: str = "local") -> TaosStatistics:
    """Makes all missing shards, then the run's statistics.

    Args:
        run: what to make.
        workers: processes (local) or Ray actors.
        engine: "local" or "ray".

    Raises:
        InvalidInputError: if `out` holds another run, or an argument is out of range.
        CorruptRecordError: for a corrupt record, unless ``run.skip_bad``.
    """
    if workers < 1:
        raise InvalidInputError(f"--workers: expected at least 1, got {workers}")
    if engine not in ENGINES:
        raise InvalidInputError(f"--engine: expected one of {ENGINES}, got {engine!r}")
    prepare(run)
    missing = missing_shards(run)
    started, done = time.monotonic(), 0
    if engine == "ray" and missing:
        from training.taos.ray_engine import make_shards_on_ray

        reports = make_shards_on_ray(run, missing, workers)
    else:
        reports = _local(run, missing, workers)
    for number, report in enumerate(reports, start=1):
        done += report["statistics"]["frames"]
        rate = done / max(time.monotonic() - started, 1e-9)
        LOGGER.info("shard %d of %d done, %.1f pictures/s", number, len(missing), rate)
    return finish(run, made=done, seconds=time.monotonic() - started, workers=workers)


def prepare(run: TaosRun) -> None:
    """Creates the folder and its manifest, or checks that it belongs to this very run."""
    run.out.mkdir(parents=True, exist_ok=True)
    path = run.out / "manifest.json"
    wanted = run.manifest()
    if not path.exists():
        if any(run.out.glob("taos-*.tar")):
            raise InvalidInputError(
                f"{run.out} holds shards but no manifest.json: another folder?"
            )
        write_text(path, _dump(wanted))
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    different = sorted(_differences(found, json.loads(_dump(wanted))))
    if different:
        raise InvalidInputError(
            f"{run.out} holds another run; it differs in {', '.join(different)}. "
            "Use another --out, or the same settings to resume."
        )


def _differences(a: dict[str, Any], b: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key in a.keys() | b.keys():
        if isinstance(a.get(key), dict) and isinstance(b.get(key), dict):
            yield from _differences(a[key], b[key], f"{prefix}{key}.")
        elif a.get(key) != b.get(key):
            yield f"{prefix}{key} ({a.get(key)!r} there, {b.get(key)!r} now)"


def shard_path(run: TaosRun, shard: int) -> Path:
    """Where a finished shard lies."""
    return run.out / f"taos-{shard:06d}.tar"


def missing_shards(run: TaosRun) -> list[int]:
    """Shards still to be made; leftovers of killed runs are removed."""
    remove_unfinished(run.out, "taos-*")
    return [shard for shard in range(run.shards) if not _is_complete(run, shard)]


def _is_complete(run: TaosRun, shard: int) -> bool:
    path = shard_path(run, shard)
    try:
        report = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return path.stat().st_size == report["bytes"]
    except FileNotFoundError:
        return False


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
            write_text(path.with_suffix(".json"), _dump(content))
    finally:
        cv2.setNumThreads(threads)
    return content


def finish(run: TaosRun, *, made: int, seconds: float, workers: int) -> TaosStatistics:
    """Writes ``statistics.json`` (the same for any workers) and ``timing.json`` (not)."""
    parts = [
        json.loads(shard_path(run, shard).with_suffix(".json").read_text(encoding="utf-8"))
        for shard in range(run.shards)
    ]
    statistics = TaosStatistics.merged(part["statistics"] for part in parts)
    write_text(run.out / "statistics.json", _dump(statistics.to_dict()))
    timing = {
        "pictures_made": made,
        "seconds": round(seconds, 3),
        "workers": workers,
        "pictures_per_second": round(made / seconds, 3) if seconds > 0 else 0.0,
    }
    write_text(run.out / "timing.json", _dump(timing))
    LOGGER.info("%d pictures in %.1f s (%.1f/s)", made, seconds, made / max(seconds, 1e-9))
    return statistics


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _local(run: TaosRun, shards: list[int], workers: int) -> Iterator[dict[str, Any]]:
    if workers == 1 or len(shards) <= 1:
        sampler = run.sampler()
        yield from (make_shard(run, sampler, shard) for shard in shards)
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(shards)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(run,),
    )
    try:
        futures = [pool.submit(_work, shard) for shard in shards]
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    """State of a worker process, set once by its initialiser."""

    run: TaosRun
    sampler: TaosSampler


def _start_worker(run: TaosRun) -> None:
    end_with_parent()
    _Worker.run = run
    _Worker.sampler = run.sampler()


def _work(shard: int) -> dict[str, Any]:
    return make_shard(_Worker.run, _Worker.sampler, shard)
