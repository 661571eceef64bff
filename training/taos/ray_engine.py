# SPDX-License-Identifier: Apache-2.0
"""The same shards on Ray Data, over many machines that share the source and output folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from training.taos.runner import TaosRun, make_shard


class ShardMaker:
    """A Ray actor: opens the sources once, then makes the shards it is given."""

    def __init__(self, run: TaosRun) -> None:
        """Opens the sources."""
        self._run = run
        self._sampler = run.sampler()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Makes the shards numbered in ``batch["shard"]``; returns their reports as JSON."""
        reports = [make_shard(self._run, self._sampler, int(s)) for s in batch["shard"]]
        return {"report": np.array([json.dumps(report) for report in reports], dtype=object)}


def make_shards_on_ray(run: TaosRun, shards: list[int], workers: int) -> Iterator[dict[str, Any]]:
    """Makes the shards on `workers` actors of the connected (or a new local) Ray cluster.

    Yields:
        The report of each shard, as it becomes ready.

    Raises:
        InvalidInputError: if Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InvalidInputError("--engine ray needs Ray Data: pip install 'ray[data]'") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    actors = min(workers, len(shards))
    dataset = ray.data.from_items([{"shard": shard} for shard in shards])
    made = dataset.repartition(len(shards)).map_batches(
        ShardMaker,
        fn_constructor_args=(run,),
        batch_size=1,
        concurrency=actors,
        num_cpus=1,
    )
    for row in made.iter_rows():
        yield json.loads(row["report"])
