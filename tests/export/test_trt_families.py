# SPDX-License-Identifier: Apache-2.0
"""Every family's exported graphs go through TensorRT's own parser and compiler, without a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amodal_ros import verify
from amodal_ros.manifest import GRAPHS
from amodal_ros.memory_manifest import GRAPHS as VIDEO
from export.trt.build_set import build_engine_set
from export.trt.engine_options import EngineOptions
from tests.export.exported import export_member


@pytest.mark.parametrize("base", ["sam_vit_b", "sam2.1_hiera_t", "mobile_sam"])
def test_narrow_member_of_each_family_builds(base: str, tmp_path) -> None:
    folder = export_member(base, tmp_path / "model", narrow=True)
    options = EngineOptions(model=folder, flavor="tensorrt_rtx", target="SM89")
    engines = build_engine_set(options)
    report = engines.build["rounding"]
    assert report["random_weights"]
    assert report["passed"]
    low = engines.build["tensors_in_16_bits"]
    graphs = {*GRAPHS, *(VIDEO if base.startswith("sam2") else ())}
    assert set(engines.files) == set(low) == graphs
    assert {name for name in graphs if low[name] == 0} == graphs & {"decoder", "memory_decoder"}
    parts = {row["part"] for row in report["rows"]}
    assert graphs <= parts
    assert ("video, end to end" in parts) is (len(graphs) > 3)
    if base.startswith("sam2"):  # the same from the command that anyone can run
        assert (
            verify.main([str(folder), "--against", str(folder), "--json", f"{folder}.json"]) == 0
        )
        rows = json.loads(Path(f"{folder}.json").read_text())["rows"]
        assert {row["part"] for row in rows} == parts
