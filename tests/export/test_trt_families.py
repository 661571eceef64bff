# SPDX-License-Identifier: Apache-2.0
"""Every family's exported graphs go through TensorRT's own parser and compiler, without a GPU."""

from __future__ import annotations

import pytest

from amodal_ros.manifest import GRAPHS, load_manifest
from amodal_ros.memory_manifest import GRAPHS as VIDEO
from amodal_ros.memory_manifest import load_memory
from amodal_ros.modeling.config import MEMBERS
from export.trt.build_set import EngineOptions, build_engine_set
from export.trt.table import build_rows
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


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["full", "roi"])
@pytest.mark.parametrize("base", MEMBERS)
def test_members_of_true_width_build_for_all_targets(base: str, mode: str, tmp_path) -> None:
    manifest = load_manifest(export_member(base, tmp_path / "model", mode=mode))
    rows = build_rows(manifest, ("SM86", "SM89", "SM120"), ("fp16", "fp32"))
    assert len(rows) == 6
    graphs = {*manifest.graphs, *(VIDEO if load_memory(manifest.directory) else ())}
    assert (len(graphs) > 3) is (mode == "full" and base.startswith("sam2"))
    for row in rows:
        assert set(row["engines"]) == graphs
        low = sum(engine["tensors_in_16_bits"] for engine in row["engines"].values())
        assert (low > 0) is (row["precision"] == "fp16")
        assert min(engine["mb"] for engine in row["engines"].values()) > 0
