# SPDX-License-Identifier: Apache-2.0
"""Weights stored in float16: what is converted, what stays, what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from amodal_ros.errors import InvalidInputError
from export.graphs.onnx_graph import store_weights_as_half


def _model(weight: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weight"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["y"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", weight.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", weight.shape[1]])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_large_constants_are_halved_and_small_ones_exact():
    random = np.random.default_rng(0)
    weight = random.standard_normal((64, 64), dtype=np.float32)
    bias = random.standard_normal(64, dtype=np.float32)
    original = _model(weight, bias)
    stored = store_weights_as_half(original)
    onnx.checker.check_model(stored, full_check=True)
    types = {t.name: t.data_type for t in stored.graph.initializer}
    assert types == {"weight_half": TensorProto.FLOAT16, "bias": TensorProto.FLOAT}
    assert stored.ByteSize() < 0.6 * original.ByteSize()
    session = onnxruntime.InferenceSession(
        stored.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = random.standard_normal((3, 64), dtype=np.float32)
    rounded = weight.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], x @ rounded + bias, atol=1e-4)


def test_casts_are_gone_once_onnxruntime_has_loaded_the_graph(tmp_path):
    weight = np.ones((64, 64), dtype=np.float32)
    stored = store_weights_as_half(_model(weight, weight[0]))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(
        stored.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    optimized = onnx.load(options.optimized_model_filepath)
    assert "Cast" not in {node.op_type for node in optimized.graph.node}


@pytest.mark.parametrize("value", [1e6, np.inf, np.nan])
def test_values_outside_half_are_refused_by_name(value):
    weight = np.ones((64, 64), dtype=np.float32)
    weight[3, 4] = value
    with pytest.raises(InvalidInputError, match="weight: float16 holds values up to 65504"):
        store_weights_as_half(_model(weight, weight[0]))


@pytest.mark.parametrize(
    ("largest", "stored_as"), [(255, TensorProto.UINT8), (256, TensorProto.INT64)]
)
def test_indices_that_fit_a_byte_are_stored_as_bytes(largest, stored_as):
    random = np.random.default_rng(0)
    index = random.integers(0, largest, 4096)
    index[7] = largest
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["y"])],
        "look_up",
        [helper.make_tensor_value_info("table", TensorProto.FLOAT, [300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4096])],
        [numpy_helper.from_array(index, "index")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    stored = store_weights_as_half(model)
    onnx.checker.check_model(stored, full_check=True)
    assert [t.data_type for t in stored.graph.initializer] == [stored_as]
    session = onnxruntime.InferenceSession(
        stored.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    table = random.standard_normal(300, dtype=np.float32)
    (found,) = session.run(None, {"table": table})
    np.testing.assert_array_equal(found, table[index])
