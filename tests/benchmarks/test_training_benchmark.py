# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from benchmarks.training import main
from tests.training.trainer.synthetic import SOURCE, write_config


def test_throughput_is_written_with_where_it_came_from(tmp_path):
    config = write_config(tmp_path / "c.yaml", data={"slow_s": 0.02})
    out = tmp_path / "result.json"
    arguments = ["--config", str(config), "--warm-up", "1", "--steps", "2", "--out", str(out)]
    assert main(arguments, SOURCE) == 0
    document = json.loads(out.read_text())
    results, step = document["results"], document["results"]["step"]
    assert step["data_s"] >= 4 * 0.02
    # What a loaded machine does between the two is not measured.
    assert results["samples_per_s"] == pytest.approx(
        4 / (step["data_s"] + step["compute_s"]), rel=0.2
    )
    assert results["samples_per_s_without_waiting_for_data"] > results["samples_per_s"]
    assert step["trained"] > 0
    assert document["commit"]
    assert document["settings"]["config"]["batch"]["size"] == 4


def test_a_wrong_setting_is_an_error(tmp_path, caplog):
    config = write_config(tmp_path / "c.yaml")
    assert main(["--config", str(config), "batch.sise=3"], SOURCE) == 1
    assert "sise" in caplog.text
