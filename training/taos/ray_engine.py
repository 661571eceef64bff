# SPDX-License-Identifier: Apache-2.0
"""The same shards on Ray Data, over many machines that share the source and output folders."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from training.taos.run import TaosRun, make_shard
from training.untrusted import CorruptRecordError


class ShardMaker:
    """A Ray actor: opens the sources once, then makes the shards it is given."""

    def __init__(self, run: TaosRun) -> None:
        """Opens the sources."""
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
