# SPDX-License-Identifier: Apache-2.0
"""What all benchmarks share."""

from __future__ import annotations

import json
import math

import pytest

from amodal_ros.files import file_sha256
from amodal_ros.model_folder.manifest import default_model_dir
from benchmarks.common import model_facts, write_result


def test_the_model_is_named_by_its_digests():
    facts, folder = model_facts(None), default_model_dir()
    assert facts["model"] == "packaged"
    assert facts["model_sha256"]["suffix"] == file_sha256(folder / "suffix.onnx")
    assert model_facts(folder) == {**facts, "model": folder.name}


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
