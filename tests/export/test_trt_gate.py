# SPDX-License-Identifier: Apache-2.0
"""The precision gate: it lets the right engine through and catches the wrong one."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper

from amodal_ros import verify
from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.backends.tensorrt.backend import TensorRtBackend
from amodal_ros.backends.tensorrt.engine_cache import load_engine_set
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import EngineOptions, load_engine
from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
from amodal_ros.verification.gate import run_gate
from amodal_ros.verification.measures import RANDOM_WEIGHTS
from amodal_ros.verification.reference import load_reference, read_scenes
from export.trt.graph_reading import read_graph, take_apart
from export.trt.precision_plan import PrecisionPlan, plan_precision
from export.trt.rounded_backend import RoundedBackend
from tests.backends.tensorrt_support import Rig
from tests.export.trt_support import BOXES, picture, reference, write_model

TENSORRT = EngineOptions("tensorrt", max_batch=4)


def rounded(folder: Path, scratch: Path, **graphs) -> RoundedBackend:
    """A model folder's graphs as planned; `graphs` replace some."""
    manifest = load_manifest(folder)
    planned = {}
    for name in manifest.graphs:
        graph = read_graph(manifest.path_of(name), name)
        planned[name] = graph, plan_precision(graph, "fp16")
    return RoundedBackend(manifest, {**planned, **graphs}, scratch)


def gate(folder: Path, candidate):
    manifest = load_manifest(folder)
    fp32 = OnnxRuntimeBackend(manifest, intra_op_threads=1)
    frames = load_reference(manifest.reference_path)
    return run_gate(manifest, candidate, fp32, [], reference=frames)


def all_low(graph) -> PrecisionPlan:
    """What a careless conversion does: everything in float16."""
    low = frozenset(range(len(graph.nodes)))
    tensors = {name for node in graph.nodes for name in node.output if graph.is_float(name)}
    return PrecisionPlan("fp16", low, frozenset(tensors))


def test_planned_graphs_pass_and_every_part_is_reported(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    report = gate(folder, rounded(folder, tmp_path))
    assert report.failures() == []
    parts = [row.part for row in report.rows]
    graphs = ["prefix", "suffix", "decoder"]
    assert parts == ["end to end, torch's masks", *graphs, "end to end"]
    errors = {row.part: row.logit_error for row in report.rows}
    assert errors["decoder"] == 0.0  # it stays in float32
    assert 0 < errors["prefix"] < 1e-2
    assert json.loads(json.dumps(report.to_json()))["passed"] is True


def test_overflowing_layer_norm_is_caught(tmp_path: Path) -> None:
    """Written out and converted as a whole: squares above 65504, masks of nothing."""
    folder = write_model(tmp_path / "model", scale=200.0, primitive_norm=True)
    graph = read_graph(folder / "prefix.onnx", "prefix")
    report = gate(folder, rounded(folder, tmp_path, prefix=(graph, all_low(graph))))
    failed = report.failures()
    assert [line.split(":")[0] for line in failed] == [
        "reference, end to end, torch's masks",
        "reference, prefix",
        "reference, end to end",
    ]
    assert all("mask IoU with fp32: mean 0." in line for line in failed)
    # By our rules the same graph keeps its norm in float32 and passes.
    assert gate(folder, rounded(folder, tmp_path)).failures() == []


@pytest.mark.slow
def test_overflowing_layer_norm_of_the_embedded_model_is_caught(tmp_path: Path) -> None:
    """The first layer norm of the embedded model's prefix, written out and scaled."""
    folder = default_model_dir()
    model = onnx.load(str(load_manifest(folder).path_of("prefix")))
    nodes = list(model.graph.node)
    position = next(i for i, n in enumerate(nodes) if n.op_type == "LayerNormalization")
    norm = nodes[position]
    source, gain, bias = norm.input
    node = helper.make_node
    written_out = [
        node("Mul", [source, "thousand"], ["n_x"]),
        node("ReduceMean", ["n_x", "n_last"], ["n_mean"]),
        node("Sub", ["n_x", "n_mean"], ["n_c"]),
        node("Mul", ["n_c", "n_c"], ["n_sq"]),
        node("ReduceMean", ["n_sq", "n_last"], ["n_var"]),
        node("Sqrt", ["n_var"], ["n_dev"]),
        node("Div", ["n_c", "n_dev"], ["n_n"]),
        node("Mul", ["n_n", gain], ["n_g"]),
        node("Add", ["n_g", bias], [norm.output[0]]),
    ]
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:position], *written_out, *nodes[position + 1 :]])
    for name, value in (("thousand", np.float32(1000)), ("n_last", np.array([-1], np.int64))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    graph = take_apart(model, "prefix")
    names = {output for part in written_out for output in part.output}
    plan = plan_precision(graph, "fp16")
    broken = {i for i, n in enumerate(graph.nodes) if n.output[0] in names}
    careless = PrecisionPlan("fp16", plan.low | broken, plan.low_tensors | names)
    report = gate(folder, rounded(folder, tmp_path, prefix=(graph, plan)))
    assert report.failures() == [], str(report)
    report = gate(folder, rounded(folder, tmp_path, prefix=(graph, careless)))
    # Refused, and said where: the suffix and the decoder are as they should be.
    assert [line.split(":")[0] for line in report.failures()] == [
        "reference, end to end, torch's masks",
        "reference, prefix",
        "reference, end to end",
    ], str(report)
    # Not by a hair: the masks are half as far again from fp32's as is allowed.
    allowed = 1.5 * (1.0 - report.limits.min_mean_iou)
    errors = {row.part: 1.0 - row.comparison.mean_iou for row in report.rows}
    assert errors["prefix"] > allowed, str(report)
    assert errors["end to end, torch's masks"] > allowed, str(report)


def test_a_graph_that_is_wrong_in_a_later_frame_alone_is_named(tmp_path: Path) -> None:
    """The first frame's masks say nothing of it."""
    folder = write_model(tmp_path / "model")
    manifest = load_manifest(folder)
    engine = OnnxRuntimeBackend(manifest, intra_op_threads=1)
    predictor = AmodalPredictor(manifest, engine)
    frames = [reference(predictor), reference(predictor, picture()[::-1].copy())]
    features, _ = predictor.encode(frames[1].image_rgb).encoded

    def run(graph, inputs):
        outputs = engine.run(graph, inputs)
        if graph == "suffix" and np.array_equal(inputs["features"], features):
            return {name: -values for name, values in outputs.items()}
        return outputs

    wrong = SimpleNamespace(run=run, name="wrong in the second frame")
    report = run_gate(manifest, wrong, engine, [], reference=frames)
    assert [line.split(":")[0] for line in report.failures()] == [
        "reference, end to end, torch's masks",
        "reference, suffix",
        "reference, end to end",
    ], str(report)


def test_nan_is_caught_though_empty_masks_agree(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", scale=60000.0)
    report = gate(folder, rounded(folder, tmp_path))
    assert any("NaN or infinity in prefix.features" in line for line in report.failures())


def test_random_weights_prove_mechanics_only(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", random_weights=True)
    report = gate(folder, rounded(folder, tmp_path))
    assert report.failures() == []
    assert str(report).endswith(RANDOM_WEIGHTS)
    broken = write_model(
        tmp_path / "broken", scale=200.0, primitive_norm=True, random_weights=True
    )
    graph = read_graph(broken / "prefix.onnx", "prefix")
    report = gate(broken, rounded(broken, tmp_path, prefix=(graph, all_low(graph))))
    assert len(report.failures()) == 2  # logits are known where both ran here
    assert str(gate(write_model(tmp_path / "real"), rounded(folder, tmp_path))).count("only") == 0


def test_fp16_stored_against_fp32_with_an_image(tmp_path: Path, caplog) -> None:
    folder, other = write_model(tmp_path / "a"), write_model(tmp_path / "b")
    image = tmp_path / "scene.png"
    cv2.imwrite(str(image), picture())
    box = [str(value) for value in BOXES[0]]
    arguments = [str(folder), "--against", str(other), "--image", str(image), "--box", *box]
    file = tmp_path / "report.json"
    with caplog.at_level(logging.INFO):
        assert verify.main([*arguments, "--json", str(file)]) == 0
    assert "scene.png, end to end: mask IoU with fp32: mean 1.0000" in caplog.text
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == 1 + 4 + 4
    assert verify.main([*arguments, "--min-mean-iou", "1.1"]) == 1
    assert verify.main([str(folder), "--image", str(image), "--box", *box]) == 1
    assert "expected a folder to compare with (--against)" in caplog.text


def test_folders_of_different_models_are_not_compared(tmp_path: Path, caplog) -> None:
    folder = write_model(tmp_path / "a")
    assert verify.main([str(folder), "--against", str(default_model_dir())]) == 1
    assert "expected family 'sam'" in caplog.text


def test_scenes_from_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"none\.png: expected an image"):
        read_scenes([tmp_path / "none.png"], BOXES)
    with pytest.raises(InvalidInputError, match="got 0 images and 2 boxes"):
        read_scenes([], BOXES)
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 5, 3), (0, 0, 255), np.uint8))
    (scene,) = read_scenes([tmp_path / "red.png"], BOXES)
    assert scene.image_rgb[0, 0].tolist() == [255, 0, 0]
    assert (scene.name, scene.boxes_xyxy.shape) == ("red.png", (2, 4))


@pytest.fixture
def first_load(tmp_path: Path, monkeypatch):
    """Engines of the tiny model on a fake GPU, which computes with ONNX Runtime."""
    folder = write_model(tmp_path / "model")
    manifest = load_manifest(folder)
    rig = Rig(manifest, folder / "engines" / "one")
    rig.backend.close()
    rig.trt.model = OnnxRuntimeBackend(manifest, intra_op_threads=1)
    rig.engines = load_engine_set(folder / "engines" / "one")
    monkeypatch.setattr(TensorRtBackend, "open", lambda *_: rig.open())
    return manifest, rig


def test_engines_are_verified_at_their_first_load(first_load, caplog) -> None:
    manifest, rig = first_load
    with caplog.at_level(logging.INFO):
        backend = load_engine(manifest, TENSORRT).backend
    assert "first load on this machine" in caplog.text
    backend.close()
    rig.engines = load_engine_set(rig.engines.directory)
    assert rig.engines.verified_on(rig.machine, manifest.graphs)
    assert not rig.engines.verified_on(rig.machine, [*manifest.graphs, "memory_decoder"])
    assert rig.engines.verification["report"]["passed"] is True
    caplog.clear()
    load_engine(manifest, TENSORRT).backend.close()
    assert "first load" not in caplog.text


def test_wrong_engines_do_not_start(first_load) -> None:
    manifest, rig = first_load
    compute = rig.trt.model.run

    def run(graph, inputs):
        outputs = compute(graph, inputs)
        return {name: -values for name, values in outputs.items()}

    rig.trt.model = type("Wrong", (), {"run": staticmethod(run)})()
    with pytest.raises(
        BackendError, match=r"one fails the precision gate:\nFAILED: tensorrt/fp16"
    ):
        load_engine(manifest, TENSORRT)
    assert rig.cuda.memory == {}  # nothing is left open
    assert not load_engine_set(rig.engines.directory).verified_on(rig.machine, ())
