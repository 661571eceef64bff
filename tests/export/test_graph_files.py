# SPDX-License-Identifier: Apache-2.0
"""Graphs whose weights lie beside them, with the limit lowered from 2 GB."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper

from amodal_ros.errors import ManifestError
from amodal_ros.files import file_sha256
from export.graphs import onnx_graph
from export.graphs.files import (
    MAX_INLINE_BYTES,
    check_data,
    save_graph,
    temporary_file,
    weight_bytes,
)
from export.graphs.onnx_graph import Tensor, export_component

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


@pytest.mark.parametrize("max_inline", [4096, 1 << 20])
def test_a_temporary_file_leaves_the_graph_whole(model, tmp_path, max_inline):
    for _ in range(2):  # as for the second target
        with temporary_file(model, tmp_path / "linear.onnx", max_inline) as path:
            assert len(list(tmp_path.iterdir())) == (2 if max_inline == 4096 else 1)
            np.testing.assert_allclose(_run(path), WEIGHT + 1, rtol=1e-6)
        assert list(tmp_path.iterdir()) == []
        assert weight_bytes(model) == 4 * (64 * 32 + 32)
        save_graph(model, tmp_path / "whole.onnx")
        np.testing.assert_allclose(_run(tmp_path / "whole.onnx"), WEIGHT + 1, rtol=1e-6)
        (tmp_path / "whole.onnx").unlink()
    with pytest.raises(RuntimeError), temporary_file(model, tmp_path / "linear.onnx", max_inline):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [0, MAX_INLINE_BYTES])
def test_graphs_beyond_the_limit_are_simplified_and_checked_too(tmp_path, monkeypatch, limit):
    """What is beyond 2 GB cannot be serialised: neither shape inference nor the checker can."""
    monkeypatch.setattr(onnx_graph, "MAX_INLINE_BYTES", limit)
    monkeypatch.setattr(onnx_graph, "CHECKED_BYTES", 64)
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.LayerNorm(32)).eval()
    tensors = (Tensor("x", ("N", 64)),), (Tensor("y", ("N", 32)),)
    component = export_component("linear", module, (torch.zeros(2, 64),), *tensors)
    assert sum(node.op_type == "LayerNormalization" for node in component.model.graph.node) == 1
    save_graph(component.model, tmp_path / "linear.onnx", max_inline=4096)
    with torch.no_grad():
        expected = module(torch.eye(64)).numpy()
    np.testing.assert_allclose(_run(tmp_path / "linear.onnx"), expected, atol=1e-5)


def test_the_checker_finds_what_is_wrong_beside_large_weights(model, monkeypatch):
    monkeypatch.setattr(onnx_graph, "CHECKED_BYTES", 64)
    model.graph.initializer[0].dims[0] = 63
    with pytest.raises(Exception, match="MatMul"):
        onnx_graph._check(model)
