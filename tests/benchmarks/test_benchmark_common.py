# SPDX-License-Identifier: Apache-2.0
"""What all benchmarks share."""

from __future__ import annotations

import json
import math

import pytest

from amodal_ros.files import file_sha256
from amodal_ros.model_folder.manifest import default_model_dir
from benchmarks.common import mark, measure, model_facts, summarise, write_result
from benchmarks.latency import main


def test_measure_leaves_the_warm_up_out():
    calls = []
    samples = measure(lambda: calls.append(None), warm_up=3, repeats=5)
    assert len(calls) == 8
    assert len(samples) == 5
    assert all(sample >= 0 for sample in samples)


def test_the_model_is_named_by_its_digests():
    facts, folder = model_facts(None), default_model_dir()
    assert facts["model"] == "packaged"
    assert facts["model_sha256"]["suffix"] == file_sha256(folder / "suffix.onnx")
    assert model_facts(folder) == {**facts, "model": folder.name}


def test_summary():
    summary = summarise([4.0, 1.0, 2.0, 3.0, 5.0])
    assert (summary["n"], summary["median"], summary["iqr"]) == (5, 3.0, 2.0)
    assert (summary["q1"], summary["q3"], summary["min"], summary["max"]) == (2.0, 4.0, 1.0, 5.0)


def test_summary_keeps_four_digits():
    assert summarise([0.000123456])["median"] == 0.0001235
    assert summarise([123456.7])["median"] == 123457.0
    assert summarise([0.0])["median"] == 0.0


@pytest.mark.parametrize("samples", [[], [1.0, math.nan]])
def test_summary_refuses(samples):
    with pytest.raises(ValueError, match="expected finite samples"):
        summarise(samples)


@pytest.mark.parametrize(("value", "met"), [(39.9, True), (40.0, True), (40.1, False)])
def test_mark(value, met):
    assert mark(value, 40.0, "ms") == {"value": value, "limit": 40.0, "unit": "ms", "met": met}


def test_result_file_says_where_it_came_from(tmp_path):
    path = tmp_path / "results" / "x.json"
    write_result(path, "a benchmark", {"seed": 0}, {"median": 1.0})
    document = json.loads(path.read_text())
    assert document["benchmark"] == "a benchmark"
    assert document["settings"] == {"seed": 0}
    assert document["results"] == {"median": 1.0}
    assert document["commit"]
    assert document["machine"]["cores"] >= 1
    assert {"python", "numpy"} <= set(document["versions"])


def test_a_result_that_json_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_result(tmp_path / "x.json", "a benchmark", {}, {"median": math.nan})


def test_help_of_the_latency_benchmark(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "--minutes" in capsys.readouterr().out
