# SPDX-License-Identifier: Apache-2.0
"""A run: settings to a folder of shards, over processes or machines, resumable.

A shard is the unit of work. It is written under a temporary name and renamed when complete,
after its report; so a shard exists whole or not at all, and a run that was killed at any
moment goes on with the shards that are missing.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import remove_unfinished, write_text
from training.taos.run import TaosRun, TaosStatistics, dump, make_shard, shard_path
from training.taos.sampler import TaosSampler
from training.untrusted import CorruptRecordError
from training.worker_processes import in_processes

LOGGER = logging.getLogger(__name__)
ENGINES = ("local", "ray")


def run_taos(run: TaosRun, *, workers: int = 1, engine: str = "local") -> TaosStatistics:
    """Makes all missing shards, then the run's statistics.

    Raises:
        InvalidInputError: if `out` holds another run, or an argument is out of range.
        CorruptRecordError: for a corrupt record, unless ``run.skip_bad``.
    """
    if workers < 1:
        raise InvalidInputError(f"--workers: expected at least 1, got {workers}")
    if engine not in ENGINES:
        raise InvalidInputError(f"--engine: expected one of {ENGINES}, got {engine!r}")
    sampler = run.sampler()  # sources that are refused leave nothing in the folder
    prepare(run)
    missing = missing_shards(run)
    started, done = time.monotonic(), 0
    if engine == "ray" and missing:
        reports = make_shards_on_ray(run, missing, workers)
    elif workers == 1 or len(missing) <= 1:
        reports = (make_shard(run, sampler, shard) for shard in missing)
    else:
        reports = in_processes(_work, missing, workers, partial(_open_sources, run))
    for number, report in enumerate(reports, start=1):
        done += report["statistics"]["frames"]
        rate = done / max(time.monotonic() - started, 1e-9)
        LOGGER.info("shard %d of %d done, %.1f pictures/s", number, len(missing), rate)
    seconds = time.monotonic() - started
    return finish(run, sampler.left_out, made=done, seconds=seconds, workers=workers)


def prepare(run: TaosRun) -> None:
    """Creates the folder and its manifest, or checks that it belongs to this very run.

    A manifest without a shard belongs to a run that came to nothing, and is replaced.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    path = run.out / "manifest.json"
    wanted = run.manifest()
    has_shards = any(run.out.glob("taos-*.tar"))
    if not path.exists() or not has_shards:
        if has_shards:
            raise InvalidInputError(
                f"{run.out} holds shards but no manifest.json: another folder?"
            )
        write_text(path, dump(wanted))
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    different = sorted(_differences(found, json.loads(dump(wanted))))
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


def finish(
    run: TaosRun, left_out: Mapping[str, int], *, made: int, seconds: float, workers: int
) -> TaosStatistics:
    """Writes ``statistics.json`` (the same for any workers) and ``timing.json`` (not)."""
    parts = [
        json.loads(shard_path(run, shard).with_suffix(".json").read_text(encoding="utf-8"))
        for shard in range(run.shards)
    ]
    statistics = TaosStatistics.merged(part["statistics"] for part in parts)
    statistics.annotations_left_out.update(left_out)
    write_text(run.out / "statistics.json", dump(statistics.to_dict()))
    timing = {
        "pictures_made": made,
        "seconds": round(seconds, 3),
        "workers": workers,
        "pictures_per_second": round(made / seconds, 3) if seconds > 0 else 0.0,
    }
    write_text(run.out / "timing.json", dump(timing))
    LOGGER.info("%d pictures in %.1f s (%.1f/s)", made, seconds, made / max(seconds, 1e-9))
    return statistics


class _Worker:
    """State of a worker process, set once before its first shard."""

    run: TaosRun
    sampler: TaosSampler


def _open_sources(run: TaosRun) -> None:
    _Worker.run, _Worker.sampler = run, run.sampler()


def _work(shard: int) -> dict[str, Any]:
    return make_shard(_Worker.run, _Worker.sampler, shard)


class ShardMaker:
    """A Ray actor: opens the sources once, then makes the shards it is given."""

    def __init__(self, run: TaosRun) -> None:
        self._run = run
        self._sampler = run.sampler()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Makes the shards numbered in ``batch["shard"]``; returns their reports as JSON."""
        reports = [self._make(int(shard)) for shard in batch["shard"]]
        return {"report": np.array([json.dumps(report) for report in reports], dtype=object)}

    def _make(self, shard: int) -> dict[str, Any]:
        """A corrupt record travels as data: Ray wraps exceptions beyond recognition."""
        try:
            return make_shard(self._run, self._sampler, shard)
        except CorruptRecordError as error:
            return {"corrupt": [error.file, error.record, error.reason]}


def make_shards_on_ray(run: TaosRun, shards: list[int], workers: int) -> Iterator[dict[str, Any]]:
    """Makes the shards on `workers` actors of the connected (or a new local) Ray cluster.

    Yields:
        The report of each shard, as it becomes ready.

    Raises:
        InvalidInputError: if Ray is not installed.
        CorruptRecordError: for a corrupt record, unless ``run.skip_bad``.
    """
    # Ray reports usage to its makers unless told not to; a user may still ask for it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InvalidInputError("--engine ray needs Ray Data: pip install 'ray[data]'") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    actors = min(workers, len(shards))
    # One block for each shard from the start: repartitioning would need a CPU that the actors
    # may all hold, and then wait for ever.
    numbers = [{"shard": shard} for shard in shards]
    dataset = ray.data.from_items(numbers, override_num_blocks=len(shards))
    made = dataset.map_batches(
        ShardMaker,
        fn_constructor_args=(run,),
        batch_size=1,
        concurrency=(1, actors),
        num_cpus=1,
    )
    for row in made.iter_rows():
        report = json.loads(row["report"])
        if "corrupt" in report:
            raise CorruptRecordError(*report["corrupt"])
        yield report
