# SPDX-License-Identifier: Apache-2.0
"""Engines side by side, on a CPU and a model of a few nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amodal_ros.errors import InvalidInputError
from benchmarks import engines
from tests.export.trt_support import write_model


def test_engines_are_measured_and_those_that_are_not_there_are_told(tmp_path: Path) -> None:
    model, out = write_model(tmp_path / "model"), tmp_path / "engines.json"
    arguments = ["--model", str(model), "--objects", "1", "3", "--repeats", "2"]
    arguments += ["--engine", "onnxruntime", "--engine", "openvino:CPU,f32"]
    arguments += ["--engine", "onnxruntime:CUDAExecutionProvider", "--threads", "1"]
    assert engines.main([*arguments, "--out", str(out)]) == 0
    results = json.loads(out.read_text())["results"]
    assert results["openvino:CPU,f32"]["engine"] == "openvino/CPU f32"
    assert results["openvino:CPU,f32"]["gate"] == "yes"
    assert set(results["onnxruntime"]["frame_ms"]) == {"1", "3"}
    assert results["onnxruntime"]["frame_ms"]["3"]["median"] > 0
    assert "is not available" in results["onnxruntime:CUDAExecutionProvider"]["failed"]
    assert engines.main([*arguments[:7], "--engine", "tensorrt", "--out", str(out)]) == 1


def test_engines_by_name() -> None:
    assert engines.parse_engine("tensorrt:/e", 0).cache_dir == Path("/e")
    assert engines.parse_engine("openvino:GPU", 0).device == "GPU"
    with pytest.raises(InvalidInputError, match="got 'magic'"):
        engines.parse_engine("magic", 0)
