# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.trainer.synthetic import write_config

SCRIPT = "tests.training.trainer.gradients_of_processes"


def launch(config: Path, out: Path, processes: int, *overrides: str) -> list[dict]:
    """Run the script in several processes, as a launcher does, and read what each wrote."""
    root = Path(__file__).resolve().parents[3]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = []
    for rank in range(processes):
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "GROUP_RANK": "0",
            "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes),
            "TORCHELASTIC_RUN_ID": "test",
        }
        command = [sys.executable, "-m", SCRIPT, str(config), str(out), *overrides]
        command.append(f"devices.devices={processes}")
        running.append(
            subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True)
        )
    for process in running:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors
    return [
        torch.load(out / f"rank_{rank}_of_{processes}.pt", weights_only=True)
        for rank in range(processes)
    ]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Two objects per image, so that every term has several; eight items in micro-batches of two.
    return write_config(
        tmp_path_factory.mktemp("world") / "c.yaml",
        data={"objects": 2},
        batch={"size": 8, "per_device": 2},
    )


def test_two_processes_give_the_gradients_of_one(config, tmp_path):
    (one,) = launch(config, tmp_path, 1)
    first, second = launch(config, tmp_path, 2)
    assert first["keys"] != second["keys"]
    assert len(one["keys"]) == 4
    assert len(first["keys"]) == 2
    assert sorted(one["keys"]) == sorted(first["keys"] + second["keys"])
    assert one["gradients"].keys() == first["gradients"].keys()
    for name, gradient in one["gradients"].items():
        torch.testing.assert_close(first["gradients"][name], gradient, rtol=1e-4, atol=1e-6)
        assert torch.equal(first["gradients"][name], second["gradients"][name]), name
        assert gradient.abs().max() > 1e-6, name
    assert first["values"] == second["values"]
    for name, value in one["values"].items():
        assert first["values"][name] == pytest.approx(value, rel=1e-5), name


def test_channels_last_changes_the_layout_and_not_the_gradients(config, tmp_path):
    (one,) = launch(config, tmp_path, 1)
    (other,) = launch(config, tmp_path, 1, "devices.channels_last=true")
    innermost = [g for g in other["gradients"].values() if g.dim() == 4 and g.shape[1] > 1]
    assert any(g.stride(1) == 1 for g in innermost)
    for name, gradient in one["gradients"].items():
        torch.testing.assert_close(other["gradients"][name], gradient, rtol=1e-4, atol=1e-6)
