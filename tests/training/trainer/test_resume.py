# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import unfinished_name
from tests.training.trainer.synthetic import (
    SyntheticConfig,
    log_lines,
    train,
    trained,
    write_config,
)
from training.trainer.config_files import load_config
from training.trainer.run_folder import CONFIG, RunFolder

STEPS = 8
DATA = {"validation": 4}


def weights(run: Path, step: int) -> dict:
    path = run / "checkpoints" / f"step_{step:08d}" / "state.pt"
    return torch.load(path, weights_only=True)


def assert_same(first, second, where: str = "state") -> None:
    assert type(first) is type(second), where
    if isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for k, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{where}[{k}]")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    else:
        assert first == second, where


def start(config: Path, run: Path, *more: str) -> subprocess.Popen:
    """Train in a process of its own, which can be killed."""
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-m", "tests.training.trainer.synthetic"]
    command += ["--config", str(config), "--run", str(run), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_steps(process: subprocess.Popen, run: Path, steps: int) -> None:
    deadline = time.monotonic() + 120
    log = run / "losses.jsonl"
    while not log.exists() or log.read_text().count("\n") < steps:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    return trained(folder, steps=STEPS, data=DATA, ema={"decay": 0.9})


def test_a_run_of_before_a_setting_was_gone_goes_on(tmp_path):
    """`visible_prior_share` was 0 in every run that any release goes on with."""
    config = load_config(write_config(tmp_path / "c.yaml"), data_schema=SyntheticConfig)
    folder = RunFolder(tmp_path / "run")
    folder.start(config)
    file = folder.path / CONFIG
    text = file.read_text()
    file.write_text(text + "visible_prior_share: 0.0\n")
    assert folder.check_resume(config, allow_changes=False) == []
    file.write_text(text + "visible_prior_share: 0.5\n")
    with pytest.raises(InvalidInputError, match=r"visible_prior_share: 0\.5 -> None"):
        folder.check_resume(config, allow_changes=False)


def test_killed_in_the_middle_it_continues_as_if_nothing_had_happened(uninterrupted, tmp_path):
    slow = {**DATA, "slow_s": 0.05}
    config = write_config(tmp_path / "c.yaml", steps=STEPS, data=slow, ema={"decay": 0.9})
    run = tmp_path / "run"
    process = start(config, run)
    wait_for_steps(process, run, 5)  # checkpoints are at steps 2, 3 and 4
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed_at = len(log_lines(run))
    assert killed_at < STEPS
    assert train(config, run, "--resume") == 0
    assert log_lines(run) == log_lines(uninterrupted)
    assert log_lines(run, "validation.jsonl") == log_lines(uninterrupted, "validation.jsonl")
    assert_same(weights(run, STEPS), weights(uninterrupted, STEPS))
    best = (run / "checkpoints" / "best").readlink()
    assert best == (uninterrupted / "checkpoints" / "best").readlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_cleanly(uninterrupted, tmp_path, number):
    slow = {**DATA, "slow_s": 0.05}
    never = {"every_steps": 0, "every_minutes": 0}
    config = write_config(
        tmp_path / "c.yaml", steps=STEPS, data=slow, ema={"decay": 0.9}, checkpoint=never
    )
    run = tmp_path / "run"
    process = start(config, run, "batch.num_workers=1")
    wait_for_steps(process, run, 1)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 0, errors
    assert "--resume continues" in errors
    done = len(log_lines(run))
    assert (run / "checkpoints" / f"step_{done:08d}" / "state.pt").exists()
    assert train(config, run, "--resume") == 0
    assert log_lines(run) == log_lines(uninterrupted)


def test_a_torn_checkpoint_and_a_torn_log_line_are_passed_over(uninterrupted, tmp_path):
    config = write_config(tmp_path / "c.yaml", steps=STEPS, data=DATA, ema={"decay": 0.9})
    run = tmp_path / "run"
    assert train(config, run) == 0
    checkpoints = run / "checkpoints"
    whole = checkpoints / "step_00000008"
    whole.rename(unfinished_name(whole))
    with (run / "losses.jsonl").open("a") as log:
        log.write('{"step": 9, "los')
    assert train(config, run, "--resume") == 0
    assert log_lines(run) == log_lines(uninterrupted)
    assert not list(checkpoints.glob(".*"))


def test_another_configuration_is_another_run(uninterrupted, tmp_path, caplog):
    config = write_config(tmp_path / "c.yaml", steps=STEPS, data=DATA, ema={"decay": 0.9})
    assert train(config, uninterrupted, "--resume", "optimiser.lr=0.5") == 1
    assert "optimiser.lr: 0.001 -> 0.5" in caplog.text
    assert train(config, uninterrupted) == 1
    assert "continue it with --resume" in caplog.text
    assert train(config, tmp_path / "none", "--resume") == 1
    assert "holds no run to resume" in caplog.text
