# SPDX-License-Identifier: Apache-2.0
"""Every family's exported graphs go through TensorRT's own parser and compiler, without a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amodal_ros import verify
from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.backends.tensorrt.engine_cache import VERIFIED
from amodal_ros.backends.tensorrt.library import TensorRtLibrary
from amodal_ros.model_folder.manifest import GRAPHS, load_manifest
from amodal_ros.model_folder.memory import GRAPHS as VIDEO
from amodal_ros.model_folder.memory import load_memory, with_memory
from export.trt import build_set
from export.trt.build_set import build_engine_set
from export.trt.options import EngineOptions
from tests.backends.fake_gpu import FakeCuda
from tests.export.exported import export_member
from tests.export.fake_builder import FakeBuilderTrt

# Both files need the same exported members.
pytestmark = pytest.mark.xdist_group("exported_members")


# Compiling all of SAM 2's graphs takes a minute and a half.
@pytest.mark.parametrize(
    "base",
    [
        "mobile_sam",
        *(pytest.param(b, marks=pytest.mark.slow) for b in ("sam_vit_b", "sam2.1_hiera_t")),
    ],
)
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


@pytest.mark.slow
def test_a_member_whose_one_pass_gives_both_masks_builds(tmp_path) -> None:
    folder = export_member("mobile_sam", tmp_path / "model", narrow=True, visible=True)
    options = EngineOptions(model=folder, flavor="tensorrt_rtx", target="SM89")
    engines = build_engine_set(options)
    assert engines.build["rounding"]["passed"]
    assert set(engines.files) == set(GRAPHS)


@pytest.mark.slow  # a minute and a quarter
def test_video_path_is_verified_where_it_runs(tmp_path, monkeypatch) -> None:
    """All six engines on a fake GPU, on which the graphs of SAM 2 compute what they do here."""
    folder = export_member("sam2.1_hiera_t", tmp_path / "model", narrow=True)
    whole = with_memory(load_manifest(folder), load_memory(folder))
    cuda = FakeCuda()
    trt = FakeBuilderTrt(cuda, whole, "10.3.0")
    trt.model = OnnxRuntimeBackend(whole, intra_op_threads=1)
    library = TensorRtLibrary("tensorrt", trt, "10.3.0")
    monkeypatch.setattr(build_set, "CudaPython", lambda: cuda)
    monkeypatch.setattr(build_set, "load_library", lambda flavor: library)
    engines = build_engine_set(EngineOptions(model=folder, precision="fp32"))
    assert engines.verification["status"] == VERIFIED
    parts = {row["part"] for row in engines.verification["report"]["rows"]}
    assert {*VIDEO, "video, end to end"} <= parts
    (profile,) = trt.configs_of["memory_attention"].profiles
    assert [shape[:2] for shape in profile["memories"]] == [(1, 1), (4, 8), (8, 8)]
    assert [shape[:2] for shape in profile["object_pointers"]] == [(1, 1), (4, 17), (8, 17)]
    assert cuda.memory == {}
