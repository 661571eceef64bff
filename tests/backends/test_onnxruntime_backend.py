# SPDX-License-Identifier: Apache-2.0
"""The ONNX Runtime backend on real graphs of a few nodes, with the fake model's tensors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.loading import EngineOptions, load_predictor
from amodal_ros.model_folder.manifest import load_manifest
from tests.fakes import LOW, SIZE, manifest_content

F = TensorProto.FLOAT


def value(name: str, *shape: int | str, dtype: int = F) -> Any:
    return helper.make_tensor_value_info(name, dtype, list(shape))


def constant(name: str, values: Any, dtype: int) -> Any:
    array = np.asarray(values)
    return helper.make_tensor(name, dtype, array.shape, array.ravel().tolist())


def prefix_graph() -> Any:
    nodes = [helper.make_node("ReduceMean", ["image"], ["features"], axes=[1], keepdims=1)]
    return helper.make_graph(
        nodes, "prefix", [value("image", 1, 3, SIZE, SIZE)], [value("features", 1, 1, SIZE, SIZE)]
    )


def suffix_graph() -> Any:
    """M_spec times the gain, beside the features."""
    nodes = [
        helper.make_node("Reshape", ["adapter_gain", "column"], ["gain"]),
        helper.make_node("Mul", ["prior_masks", "gain"], ["spec"]),
        helper.make_node("Mul", ["spec", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "features"], ["shared"]),
        helper.make_node("Concat", ["shared", "spec"], ["embeddings"], axis=1),
    ]
    return helper.make_graph(
        nodes,
        "suffix",
        [
            value("features", 1, 1, SIZE, SIZE),
            value("prior_masks", "N", 1, SIZE, SIZE),
            value("adapter_gain", "N"),
        ],
        [value("embeddings", "N", 2, SIZE, SIZE)],
        [constant("column", [-1, 1, 1, 1], TensorProto.INT64), constant("zero", 0.0, F)],
    )


def decoder_graph() -> Any:
    """Logits are M_spec pooled, less a half; the predicted IoU is their mean."""
    step = SIZE // LOW
    nodes = [
        helper.make_node("Slice", ["embeddings", "one", "two", "one"], ["spec"]),
        helper.make_node(
            "AveragePool", ["spec"], ["pooled"], kernel_shape=[step] * 2, strides=[step] * 2
        ),
        helper.make_node("ReduceSum", ["point_coords", "all_axes"], ["coords"], keepdims=0),
        helper.make_node("ReduceSum", ["point_labels", "all_axes"], ["labels"], keepdims=0),
        helper.make_node("Add", ["coords", "labels"], ["prompts"]),
        helper.make_node("Mul", ["prompts", "zero"], ["nothing"]),
        helper.make_node("Sub", ["nothing", "half"], ["offset"]),
        helper.make_node("Add", ["pooled", "offset"], ["low_res_logits"]),
        helper.make_node(
            "ReduceMean", ["low_res_logits"], ["predicted_iou"], axes=[1, 2, 3], keepdims=0
        ),
    ]
    return helper.make_graph(
        nodes,
        "decoder",
        [
            value("embeddings", "N", 2, SIZE, SIZE),
            value("point_coords", "N", "P", 2),
            value("point_labels", "N", "P"),
        ],
        [value("low_res_logits", "N", 1, LOW, LOW), value("predicted_iou", "N")],
        [
            constant("one", [1], TensorProto.INT64),
            constant("two", [2], TensorProto.INT64),
            constant("all_axes", [], TensorProto.INT64),
            constant("zero", 0.0, F),
            constant("half", 0.5, F),
        ],
    )


GRAPHS = {"prefix": prefix_graph, "suffix": suffix_graph, "decoder": decoder_graph}


def write_folder(folder: Path, content: dict[str, Any] | None = None, **graphs: Any) -> Path:
    """Writes a model folder whose manifest fits its files; `graphs` replace the usual ones."""
    content = content or manifest_content()
    for name, build in GRAPHS.items():
        model = helper.make_model(
            graphs.get(name) or build(), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        )
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    (folder / "reference.npz").write_bytes(b"reference")
    for name, entry in {**content["graphs"], "reference": content["reference"]}.items():
        path = folder / (f"{name}.onnx" if name in GRAPHS else "reference.npz")
        data = path.read_bytes()
        entry.update(file=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def open_folder(folder: Path, **options: Any) -> OnnxRuntimeBackend:
    return OnnxRuntimeBackend(load_manifest(folder), **{"intra_op_threads": 1, **options})


def test_graphs_are_whole(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for name in GRAPHS:
        onnx.checker.check_model(onnx.load(tmp_path / f"{name}.onnx"), full_check=True)


def test_each_graph_runs_with_any_number_of_rows(tmp_path: Path) -> None:
    backend = open_folder(write_folder(tmp_path))
    assert backend.name == "onnxruntime/CPUExecutionProvider"
    rng = np.random.default_rng(0)
    image = rng.random((1, 3, SIZE, SIZE), np.float32)
    features = backend.run("prefix", {"image": image})["features"]
    assert features == pytest.approx(image.mean(axis=1, keepdims=True), abs=1e-6)
    for rows in (1, 3, 2):
        priors = rng.integers(0, 2, (rows, 1, SIZE, SIZE)).astype(np.float32)
        gains = np.arange(rows, dtype=np.float32)
        got = backend.run(
            "suffix", {"features": features, "prior_masks": priors, "adapter_gain": gains}
        )["embeddings"]
        assert got[:, 1:] == pytest.approx(priors * gains[:, None, None, None])
        assert got[:, 0] == pytest.approx(np.repeat(features[0], rows, axis=0))


def test_the_predictor_runs_on_it(tmp_path: Path) -> None:
    predictor = load_predictor(write_folder(tmp_path), EngineOptions("onnxruntime", threads=1))
    predictor.warm_up()
    features = predictor.encode(np.zeros((90, 120, 3), np.uint8))
    got = predictor.predict(features, [[10, 20, 50, 60], [60, 60, 110, 85]])
    assert not got.visible_masks.any()  # without a gain there is no M_spec
    boxes = [mask.box_xyxy for mask in got.amodal]
    assert np.abs(np.subtract(boxes, [[6, 16, 54, 64], [55, 57.5, 115, 87.5]])).max() <= 2
    predictor.close()
    with pytest.raises(BackendError, match="not loaded"):
        predictor.encode(np.zeros((90, 120, 3), np.uint8))
    predictor.close()


def test_failure_inside_the_engine_names_graph_and_shapes(tmp_path: Path) -> None:
    """It takes the gain of the third object: with fewer it fails, and only running it shows."""
    graph = suffix_graph()
    graph.node[-1].output[0] = "both"
    graph.initializer.append(constant("third", 2, TensorProto.INT64))
    graph.node.append(helper.make_node("Gather", ["adapter_gain", "third"], ["of_third"]))
    graph.node.append(helper.make_node("Add", ["both", "of_third"], ["embeddings"]))
    backend = open_folder(write_folder(tmp_path, suffix=graph))

    def inputs(rows: int) -> dict[str, np.ndarray]:
        return {
            "features": np.zeros((1, 1, SIZE, SIZE), np.float32),
            "prior_masks": np.zeros((rows, 1, SIZE, SIZE), np.float32),
            "adapter_gain": np.zeros(rows, np.float32),
        }

    with pytest.raises(BackendError, match=r"suffix failed with inputs .*'adapter_gain': \(2,\)"):
        backend.run("suffix", inputs(2))
    assert backend.run("suffix", inputs(3))["embeddings"].shape == (3, 2, SIZE, SIZE)


def test_file_that_is_no_graph(tmp_path: Path) -> None:
    write_folder(tmp_path)
    content = json.loads((tmp_path / "manifest.json").read_text())
    data = b"no protocol buffer" * 9
    (tmp_path / "suffix.onnx").write_bytes(data)
    content["graphs"]["suffix"].update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(BackendError, match=r"suffix.onnx: onnxruntime cannot load it"):
        open_folder(tmp_path)


def test_provider_that_is_not_available(tmp_path: Path) -> None:
    write_folder(tmp_path)
    with pytest.raises(BackendError, match=r"MagicExecutionProvider is not available .* it has"):
        open_folder(tmp_path, providers=["MagicExecutionProvider", "CPUExecutionProvider"])


def test_provider_that_is_available_but_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU build without a GPU: ONNX Runtime logs a warning and runs on the CPU. We refuse."""
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    opened = onnxruntime.InferenceSession

    def falls_back(path: str, sess_options: Any, **_: Any) -> Any:
        return opened(path, sess_options=sess_options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", falls_back)
    with pytest.raises(
        BackendError, match=r"CUDAExecutionProvider was asked for, but onnxruntime uses CPU"
    ):
        open_folder(write_folder(tmp_path), providers=["CUDAExecutionProvider"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"providers": []}, "providers: expected a list of names"),
        ({"providers": "CPUExecutionProvider"}, "providers: expected a list of names"),
        ({"providers": [("CPUExecutionProvider",)]}, "expected a name, or a name and its options"),
        ({"providers": [7]}, "expected a name, or a name and its options, got 7"),
        ({"intra_op_threads": -1}, "intra_op_threads: expected >= 0, got -1"),
        ({"graph_optimization": "most"}, "expected one of none, basic, .* got 'most'"),
    ],
)
def test_unusable_options(tmp_path: Path, options: dict, message: str) -> None:
    write_folder(tmp_path)
    with pytest.raises(InvalidInputError, match=message):
        open_folder(tmp_path, **options)
