# SPDX-License-Identifier: Apache-2.0
"""Engines of a tiny model, built for real with TensorRT for RTX; no GPU is needed."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from amodal_ros.backends.tensorrt.engine_cache import UNVERIFIED, load_engine_set
from amodal_ros.backends.tensorrt.library import TensorRtLibrary, load_library
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.model_folder.manifest import load_manifest
from export import to_trt
from export.trt.build_set import build_engine_set, plan_graphs
from export.trt.builder import BuildOptions, build_engine
from export.trt.options import EngineOptions, Limits, profile_shapes
from export.trt.typed_graph import check_engine_layers, check_network_types, typed_graph
from tests.export.trt_support import SIZE, write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def options(folder: Path, out: Path, **changes) -> EngineOptions:
    given = EngineOptions(model=folder, flavor="tensorrt_rtx", target="SM89", out=out)
    return replace(given, **changes)


def test_command_builds_a_complete_set(folder: Path, tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        arguments = ["--model", folder, "--flavor", "tensorrt_rtx", "--target", "SM89"]
        arguments += ["--out", tmp_path, "--max-batch", "5", "--workspace", "256"]
        assert to_trt.main([str(a) for a in arguments]) == 0
    (found,) = (p for p in tmp_path.iterdir())
    engines = load_engine_set(found)
    assert found.name == engines.key.folder_name()
    assert found.name.startswith("tensorrt_rtx-sm89-fp16-")
    key = engines.key
    assert (key.gpu_name, key.compute_capability) == ("", "8.9")
    assert (key.max_batch, key.max_points, key.workspace_mib) == (5, 16, 256)
    assert all(len(engines.read(graph)) > 1000 for graph in ("prefix", "suffix", "decoder"))
    assert engines.verification["status"] == UNVERIFIED
    assert UNVERIFIED in caplog.text
    low = engines.build["tensors_in_16_bits"]
    assert low["prefix"] > 0
    assert low["suffix"] > 0
    assert low["decoder"] == 0
    assert engines.build["rounding"]["passed"] is True
    assert "passed: fp16 rounding on the CPU" in caplog.text


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("target", ["SM86", "SM120"])
def test_other_precisions_and_targets(folder, tmp_path, precision, target) -> None:
    # bfloat16 moves more pixels of so small a mask.
    gate = replace(
        options(folder, tmp_path).gate, min_mean_iou=0.9, min_low_iou=0.9, min_boundary_f=0.9
    )
    engines = build_engine_set(
        options(folder, tmp_path, precision=precision, target=target, gate=gate)
    )
    assert engines.key.compute_capability == {"SM86": "8.6", "SM120": "12.0"}[target]
    assert (engines.build["tensors_in_16_bits"]["prefix"] > 0) is (precision == "bf16")


def test_what_is_up_to_date_is_kept_and_what_is_stale_is_built(folder, tmp_path, caplog) -> None:
    first = build_engine_set(options(folder, tmp_path, precision="fp32"))
    time = (first.directory / "engines.json").stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        again = build_engine_set(options(folder, tmp_path, precision="fp32"))
    assert "up to date" in caplog.text
    assert (again.directory / "engines.json").stat().st_mtime_ns == time
    forced = build_engine_set(options(folder, tmp_path, precision="fp32", force=True))
    assert (forced.directory / "engines.json").stat().st_mtime_ns > time
    other = build_engine_set(options(folder, tmp_path, precision="fp32", limits=Limits(3)))
    assert sorted(tmp_path.iterdir()) == sorted([first.directory, other.directory])


def test_overflowing_graph_is_not_built(tmp_path: Path, caplog) -> None:
    """In fp32 the norm takes the scale out again; in float16 its input is infinite."""
    folder = write_model(tmp_path / "model", scale=60000.0)
    arguments = ["--model", str(folder), "--flavor", "tensorrt_rtx", "--target", "SM89"]
    with caplog.at_level(logging.INFO):
        assert to_trt.main(arguments) == 1
    assert "no engine is built, the graphs fail the precision gate" in caplog.text
    assert "FAILED reference, prefix" in caplog.text
    assert "NaN or infinity in prefix.features" in caplog.text
    assert list((folder / "engines").iterdir()) == []
    assert to_trt.main([*arguments, "--precision", "fp32"]) == 0
    assert len(list((folder / "engines").iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target": "SM42"}, InvalidInputError, r"expected one of .*SM89.*got 'SM42'"),
        ({"target": "Ada"}, InvalidInputError, "expected SM and a number, as SM89, got 'Ada'"),
        (
            {"target": None},
            BackendError,
            "(cudaGetDevice|cuda-python cannot be imported).* for the GPU of another machine: ",
        ),
        ({"precision": "int8"}, InvalidInputError, "precision: expected one of"),
        ({"flavor": "tensorrt"}, BackendError, "tensorrt cannot be imported"),
    ],
)
def test_what_cannot_be_built_is_refused(folder, tmp_path, monkeypatch, change, error, message):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(error, match=message):
        build_engine_set(options(folder, tmp_path / "out", **change))
    assert not list(tmp_path.glob("out/*"))


def test_graph_that_tensorrt_cannot_parse(folder: Path, tmp_path: Path) -> None:
    (graph, plan) = plan_graphs(load_manifest(folder), "fp32")["suffix"]
    typed = typed_graph(graph, plan)
    typed.model.graph.node[-1].op_type = "NoSuchOperator"
    shapes = profile_shapes(load_manifest(folder).graphs["suffix"], Limits())
    with pytest.raises(BackendError, match=r"suffix: TensorRT cannot parse it: .*NoSuchOperator"):
        build_engine(
            load_library("tensorrt_rtx"),
            "suffix",
            typed,
            shapes,
            BuildOptions(target="SM89"),
            tmp_path,
        )
    assert list(tmp_path.iterdir()) == []


def test_network_of_other_types_is_refused(folder: Path, tmp_path: Path) -> None:
    """The float32 graph in place of the mixed one: what an FP16 flag does in TensorRT 11."""
    manifest = load_manifest(folder)
    wanted = typed_graph(*plan_graphs(manifest, "fp16")["prefix"]).types
    (graph, plan) = plan_graphs(manifest, "fp32")["prefix"]
    built = replace(typed_graph(graph, plan), types=wanted)
    shapes = profile_shapes(manifest.graphs["prefix"], Limits())
    library = load_library("tensorrt_rtx")
    with pytest.raises(BackendError, match=r"tensors of another type: .*embedded fp32, not fp16"):
        build_engine(library, "prefix", built, shapes, BuildOptions(target="SM89"), tmp_path)


def test_too_few_named_tensors_are_no_proof() -> None:
    network = SimpleNamespace(num_layers=0)
    with pytest.raises(BackendError, match="shows the type of 0 of 2 tensors in 16 bits"):
        check_network_types(None, network, "prefix", {"a": "fp16", "b": "fp16"}, True)


def test_types_in_an_engine() -> None:
    layers = [
        {"Inputs": [{"Name": "a", "Format/Datatype": "Half"}], "Outputs": []},
        {"Outputs": [{"Name": "b", "Format/Datatype": "Row major linear FP32 format"}]},
        {"Outputs": [{"Name": "fused", "Format/Datatype": "Half"}]},
        "a layer's name alone",
    ]
    text = json.dumps({"Layers": layers})
    assert check_engine_layers(text, "prefix", {"a": "fp16", "b": "fp32", "c": "fp16"}) == 2
    with pytest.raises(BackendError, match="prefix: the engine has a fp16, not fp32"):
        check_engine_layers(text, "prefix", {"a": "fp32"})
    with pytest.raises(BackendError, match="gave no JSON"):
        check_engine_layers("?", "prefix", {})


def test_constraints_take_the_place_of_types_in_tensorrt_8_6() -> None:
    tensors = [
        SimpleNamespace(name=name, dtype=SimpleNamespace(name="FLOAT")) for name in ("a", "b")
    ]

    class Layer:
        num_outputs = 1

        def __init__(self, tensor) -> None:
            self.tensor, self.precision, self.types = tensor, None, {}

        def get_output(self, index):
            return self.tensor

        def set_output_type(self, index, kind) -> None:
            self.types[index] = kind

    layers = [Layer(tensor) for tensor in tensors]
    network = SimpleNamespace(num_layers=2, get_layer=lambda index: layers[index])
    trt = SimpleNamespace(float16="half", float32="float")
    found = check_network_types(trt, network, "prefix", {"a": "fp16", "b": "fp32"}, False)
    assert found == (2, 1)
    assert [layer.precision for layer in layers] == ["half", "float"]
    assert [layer.types for layer in layers] == [{0: "half"}, {0: "float"}]


def test_profiles(folder: Path) -> None:
    spec = load_manifest(folder).graphs["decoder"]
    shapes = profile_shapes(spec, Limits(max_batch=5, max_points=7))
    assert shapes["point_coords"] == ((1, 1, 2), (3, 2, 2), (5, 7, 2))
    assert shapes["embeddings"][2] == (5, 8, SIZE, SIZE)
    # What the model itself limits is not the builder's to choose.
    shapes = profile_shapes(replace(spec, greatest={"P": 17}), Limits(max_batch=5, max_points=7))
    assert shapes["point_coords"] == ((1, 1, 2), (3, 17, 2), (5, 17, 2))
    with pytest.raises(InvalidInputError, match="max_batch: expected at least 1, got 0"):
        Limits(max_batch=0)
    with pytest.raises(InvalidInputError, match="max_points: expected at least 2, got 1"):
        Limits(max_points=1)


def test_older_tensorrt_has_no_bfloat16(folder: Path, tmp_path: Path, monkeypatch) -> None:
    library = TensorRtLibrary("tensorrt", SimpleNamespace(), "8.6.2")
    monkeypatch.setattr("export.trt.build_set.load_library", lambda flavor: library)
    with pytest.raises(InvalidInputError, match=r"bf16: TensorRT 8\.6\.2 has fp16 and fp32"):
        build_engine_set(options(folder, tmp_path, flavor="tensorrt", precision="bf16"))
