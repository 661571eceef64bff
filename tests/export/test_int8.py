# SPDX-License-Identifier: Apache-2.0
"""Int8 on graphs of a few nodes: what is tried, what is judged, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.errors import InvalidInputError
from amodal_ros.model_folder.manifest import ModelManifest, load_manifest
from amodal_ros.verification.report import Scene
from export import int8, int8_graphs
from export.int8_graphs import Variant, record_inputs, write_variant
from export.int8_scenes import clip_scenes, divide
from export.int8_table import BEGIN, END
from tests.export.small_models import calculating_prefix, model_folder

PREFIX = ("prefix",)
MATMUL, BOTH = ("MatMul",), ("MatMul", "Conv")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> ModelManifest:
    folder = tmp_path_factory.mktemp("int8") / "model"
    return load_manifest(model_folder(folder, "full", prefix=calculating_prefix()))


def scene(seed: int) -> Scene:
    image = np.random.default_rng(seed).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    return Scene(f"noise {seed}", image, np.array([[10, 20, 60, 70], [50, 30, 110, 80]], "f4"))


def test_recorded_inputs_are_those_of_single_objects(manifest: ModelManifest) -> None:
    engine = OnnxRuntimeBackend(manifest, intra_op_threads=1)
    recorded = record_inputs(manifest, engine, [scene(0), scene(1)])
    assert {graph: len(inputs) for graph, inputs in recorded.items()} == {
        "prefix": 2,
        "suffix": 6,  # the unadapted image and two objects of each scene
        "decoder": 8,
    }
    assert all(len(inputs["prior_masks"]) == 1 for inputs in recorded["suffix"])


@pytest.mark.parametrize(
    ("variant", "operator"),
    [
        (Variant("dynamic", PREFIX, MATMUL), "MatMulInteger"),
        (Variant("static", PREFIX, MATMUL), "QuantizeLinear"),
        (Variant("static", PREFIX, BOTH), "QuantizeLinear"),
        (Variant("static", PREFIX, BOTH, symmetric=True), "QuantizeLinear"),
    ],
    ids=str,
)
def test_variants_compute_nearly_the_same_in_int8(
    manifest: ModelManifest, tmp_path: Path, variant: Variant, operator: str
) -> None:
    engine = OnnxRuntimeBackend(manifest, intra_op_threads=1)
    recorded = record_inputs(manifest, engine, [scene(0)])
    quantised = write_variant(variant, manifest, recorded, tmp_path / "out")
    graph = onnx.load(str(quantised.path_of("prefix"))).graph
    assert operator in {node.op_type for node in graph.node}
    assert any(tensor.data_type == onnx.TensorProto.INT8 for tensor in graph.initializer)
    zero_points = [numpy_helper.to_array(t) for t in graph.initializer if "zero_point" in t.name]
    if variant.symmetric:
        assert zero_points
        assert all(z.dtype == np.int8 and not z.any() for z in zero_points)
    assert quantised.compute_precision == "int8"
    assert quantised.source["int8"] == str(variant)
    assert quantised.graphs["suffix"].file == manifest.graphs["suffix"].file
    other = OnnxRuntimeBackend(quantised, intra_op_threads=1)
    inputs = recorded["prefix"][0]
    wanted, got = (each.run("prefix", inputs)["features"] for each in (engine, other))
    difference = np.abs(got - wanted).max() / np.abs(wanted).max()
    assert 0 < difference < 0.05


def arguments(manifest: ModelManifest, out: Path, *more: str) -> list[str]:
    folder = str(manifest.directory)
    base = ["--model", folder, "--out", str(out), "--frames", "2", "--repeats", "2"]
    return [*base, "--threads", "1", "--report", str(out.parent / "report.json"), *more]


@pytest.fixture
def one_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    variants = (Variant("dynamic", PREFIX, MATMUL),)
    monkeypatch.setattr(int8_graphs, "VARIANTS", variants)


def faster(*_: Any) -> list[float]:
    return [0.5, 0.6]


def test_what_passes_and_is_faster_is_written(
    manifest: ModelManifest, tmp_path: Path, one_variant: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The masks of this model do not depend on its prefix, so that the gate passes."""
    monkeypatch.setattr("export.benchmarking.timing.ratios", faster)
    assert int8.main(arguments(manifest, tmp_path / "out")) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["kept"] == "dynamic int8 of MatMul in prefix"
    assert load_manifest(tmp_path / "out").compute_precision == "int8"
    assert set(report["settings"]["calibration"]).isdisjoint(report["settings"]["judging"])
    assert int8.main(arguments(manifest, tmp_path / "out")) == 2  # it is there already


def test_table_says_what_the_report_says(
    manifest: ModelManifest, tmp_path: Path, one_variant: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.benchmarking.timing.ratios", faster)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    given = arguments(manifest, tmp_path / "out", "--document", str(page))
    assert int8.main(given) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    rows = json.loads((tmp_path / "report.json").read_text())["variants"][0]["gate"]["rows"]
    found = [row["comparison"] for row in rows if row["part"] == "end to end"]
    iou = min(min(c["amodal_iou"], c["visible_iou"]) for c in found)
    assert f"| dynamic int8 of MatMul in prefix | 0.55 | 0.0 | {iou:.4f} |" in text
    assert "Kept: dynamic int8 of MatMul in prefix." in text


@pytest.mark.parametrize("option", ["--report", "--document"])
def test_what_cannot_be_written_is_one_line(
    manifest: ModelManifest,
    tmp_path: Path,
    one_variant: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    option: str,
) -> None:
    monkeypatch.setattr("export.benchmarking.timing.ratios", faster)
    assert int8.main(arguments(manifest, tmp_path / "out", option, "/proc/none/file")) == 2
    assert "cannot be written: [Errno 2]" in caplog.text


def test_what_is_slower_is_reported_and_not_written(
    manifest: ModelManifest, tmp_path: Path, one_variant: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.benchmarking.timing.ratios", lambda *_: [1.1, 1.2])
    assert int8.main(arguments(manifest, tmp_path / "out")) == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["kept"] is None
    assert report["variants"][0]["gate"]["passed"]
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_what_fails_the_gate_is_not_written(
    manifest: ModelManifest, tmp_path: Path, one_variant: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quantiser that spoils the decoder's masks."""
    write = int8_graphs.write_variant

    def spoil(variant: Any, source: ModelManifest, recorded: Any, out: Path) -> ModelManifest:
        write(variant, source, recorded, out)
        model = onnx.load(str(out / "decoder.onnx"))
        (half,) = (t for t in model.graph.initializer if t.name == "half")
        half.float_data[0] = -0.5
        onnx.save(model, str(out / "decoder.onnx"))
        content = json.loads((out / "manifest.json").read_text())
        data = (out / "decoder.onnx").read_bytes()
        digest = int8_graphs.file_sha256(out / "decoder.onnx")
        content["graphs"]["decoder"].update(sha256=digest, bytes=len(data))
        (out / "manifest.json").write_text(json.dumps(content))
        return load_manifest(out)

    monkeypatch.setattr(int8_graphs, "write_variant", spoil)
    monkeypatch.setattr("export.benchmarking.timing.ratios", faster)
    assert int8.main(arguments(manifest, tmp_path / "out")) == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert not report["variants"][0]["gate"]["passed"]
    assert not (tmp_path / "out").exists()


def test_frames_of_the_clip_come_with_boxes_and_are_divided() -> None:
    scenes = clip_scenes(4)
    assert len({found.name for found in scenes}) == 4
    for found in scenes:
        height, width, _ = found.image_rgb.shape
        assert (found.boxes_xyxy[:, 2:] <= [width, height]).all()
        assert ((found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]) >= 12).all()
    calibration, judging = divide(scenes)
    assert [found.name for found in calibration + judging] == [
        scenes[i].name for i in (0, 2, 1, 3)
    ]
    with pytest.raises(InvalidInputError, match="at least 2, got 1"):
        divide(scenes[:1])
    with pytest.raises(InvalidInputError, match="at least 2, got 1"):
        clip_scenes(1)
