# SPDX-License-Identifier: Apache-2.0
"""Ray Data on a local cluster of two worker nodes: the same output as one process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.taos.taos_drawings import digests
from training.taos.config import TaosConfig
from training.taos.runner import TaosRun, run_taos
from training.untrusted import CorruptRecordError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False},
    )
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False)
    yield
    ray.shutdown()
    nodes.shutdown()


@pytest.mark.usefixtures("cluster")
def test_same_output_as_one_process(yolo_root: Path, sa1b_root: Path, tmp_path: Path) -> None:
    def run(name: str) -> TaosRun:
        return TaosRun(
            config=TaosConfig(seed=3, shard_size=4),
            sources=(f"yolo:{yolo_root}", f"sa1b:{sa1b_root}"),
            count=20,
            out=tmp_path / name,
            cache=tmp_path / "cache",
        )

    assert run_taos(run("one")).written >= 18
    run_taos(run("ray"), engine="ray", workers=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "ray")
    # Resumption works the same: only the missing shard is made.
    missing = tmp_path / "ray" / "taos-000002.tar"
    stamp = (tmp_path / "ray" / "taos-000001.tar").stat().st_mtime_ns
    missing.unlink()
    run_taos(run("ray"), engine="ray", workers=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "ray")
    assert (tmp_path / "ray" / "taos-000001.tar").stat().st_mtime_ns == stamp


@pytest.mark.usefixtures("cluster")
def test_a_corrupt_record_is_named_through_ray(yolo_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(yolo_root, root)
    for number in range(6):
        (root / f"images/train/{number:03d}.jpg").write_bytes(b"broken")
    run = TaosRun(
        config=TaosConfig(shard_size=4),
        sources=(f"yolo:{root}",),
        count=8,
        out=tmp_path / "out",
        cache=tmp_path,
    )
    with pytest.raises(CorruptRecordError, match=r"00\d\.jpg, record train/00\d\.jpg: expected"):
        run_taos(run, engine="ray", workers=2)
