# SPDX-License-Identifier: Apache-2.0
"""Graphs whose weights lie beside them, with the limit lowered from 2 GB."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from amodal_ros.errors import ManifestError
from amodal_ros.manifest import file_sha256
from export.graph_files import MAX_INLINE_BYTES, check_data, save_graph, weight_bytes

WEIGHT = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)


@pytest.fixture
def model() -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weight"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["y"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 32])],
        [
            numpy_helper.from_array(WEIGHT, "weight"),
            numpy_helper.from_array(np.ones(32, np.float32), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _run(path) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.eye(64, dtype=np.float32)})[0]


def test_small_graphs_are_one_file(model, tmp_path):
    save_graph(model, tmp_path / "linear.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["linear.onnx"]
    assert weight_bytes(model) == 4 * (64 * 32 + 32) < MAX_INLINE_BYTES < 2**31
    check_data(tmp_path / "linear.onnx")


def test_large_weights_lie_beside_the_graph_and_give_the_same_result(model, tmp_path):
    path = tmp_path / "linear.onnx"
    save_graph(model, path, max_inline=4096)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["linear.onnx", "linear.onnx.data"]
    assert path.stat().st_size < 2048
    assert path.stat().st_mode == (tmp_path / "linear.onnx.data").stat().st_mode
    check_data(path)
    np.testing.assert_allclose(_run(path), WEIGHT + 1, rtol=1e-6)
    assert weight_bytes(model) == 4 * (64 * 32 + 32)  # the model given is left as it was


def test_the_graph_vouches_for_its_weights(model, tmp_path):
    """Other weights, other bytes of the graph itself, whose sha256 the manifest holds."""
    digests = []
    for factor in (1.0, 2.0):
        (weight, _) = model.graph.initializer
        weight.CopyFrom(numpy_helper.from_array(factor * WEIGHT, "weight"))
        save_graph(model, tmp_path / "linear.onnx", max_inline=4096)
        digests.append(file_sha256(tmp_path / "linear.onnx"))
    assert digests[0] != digests[1]


def test_altered_or_missing_weights_are_refused(model, tmp_path):
    path, data = tmp_path / "linear.onnx", tmp_path / "linear.onnx.data"
    save_graph(model, path, max_inline=4096)
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    with pytest.raises(ManifestError, match=r"linear\.onnx\.data: expected sha256"):
        check_data(path)
    data.unlink()
    with pytest.raises(ManifestError, match="found no file"):
        check_data(path)
    stripped = onnx.load(str(path), load_external_data=False)
    del stripped.metadata_props[:]
    path.write_bytes(stripped.SerializeToString())
    with pytest.raises(ManifestError, match="expected external_data_sha256"):
        check_data(path)
