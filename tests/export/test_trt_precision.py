# SPDX-License-Identifier: Apache-2.0
"""Which nodes compute in 16 bits, and the two forms in which a graph says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from amodal_ros.errors import InvalidInputError
from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
from export.graphs.onnx_graph import store_weights_as_half
from export.trt.graph_reading import read_graph, take_apart
from export.trt.precision_plan import PrecisionPlan, plan_precision
from export.trt.typed_graph import computed_name, rounding_graph, typed_graph
from tests.export.trt_support import constant, picture, write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    infos = (*inferred.value_info, *inferred.output)
    return {info.name: info.type.tensor_type.elem_type for info in infos}


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def one_node_graph(op: str, *constants: TensorProto, activations: int = 1) -> onnx.ModelProto:
    """Two convolutions give activations, low by the rules, to one node."""
    node = helper.make_node
    inputs = ["a", "b"][:activations] + [tensor.name for tensor in constants]
    graph = helper.make_graph(
        [
            node("Conv", ["x", "identity"], ["a"]),
            node("Conv", ["x", "identity"], ["b"]),
            node(op, inputs, ["y"]),
        ],
        "prefix",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [constant("identity", np.ones((1, 1, 1, 1))), *constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def is_low(model: onnx.ModelProto, precision: str = "fp16") -> bool:
    return "y" in plan_precision(take_apart(model, "prefix"), precision).low_tensors


def test_products_are_low_and_norms_and_residuals_are_not(folder: Path) -> None:
    graph = read_graph(folder / "prefix.onnx", "prefix")
    plan = plan_precision(graph, "fp16")
    low = {"embedded", "scaled", "rows", "hidden", "active", "update"}
    assert plan.low_tensors == low
    full = {node.op_type for i, node in enumerate(graph.nodes) if i not in plan.low}
    assert full == {"LayerNormalization", "Add", "Transpose"}


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_the_decoder_stays_in_float32(folder: Path, precision: str) -> None:
    graph = read_graph(folder / "decoder.onnx", "decoder")
    assert plan_precision(graph, precision).low == frozenset()


def test_fp32_has_nothing_low(folder: Path) -> None:
    graph = read_graph(folder / "prefix.onnx", "prefix")
    assert plan_precision(graph, "fp32").low == frozenset()
    with pytest.raises(InvalidInputError, match="precision: expected one of"):
        plan_precision(graph, "int8")


@pytest.mark.parametrize(
    ("op", "low"),
    [("Relu", True), ("Erf", True), ("Softmax", False), ("Exp", False), ("Sqrt", False)],
)
def test_functions_of_one_activation(op: str, low: bool) -> None:
    assert is_low(one_node_graph(op)) is low


@pytest.mark.parametrize(("op", "low"), [("Add", False), ("Sub", False), ("Mul", True)])
def test_sums_of_two_activations_stay_in_float32(op: str, low: bool) -> None:
    assert is_low(one_node_graph(op, activations=2)) is low
    assert is_low(one_node_graph(op, constant("c", 2.0)))


@pytest.mark.parametrize(
    ("value", "fp16"), [(65504.0, True), (65536.0, False), (1e-3, True), (1e-6, False), (0, True)]
)
def test_constants_that_float16_cannot_hold_stay_in_float32(value: float, fp16: bool) -> None:
    model = one_node_graph("Mul", constant("c", value))
    assert is_low(model) is fp16
    assert is_low(model, "bf16")


def test_products_of_dequantised_numbers_are_left_to_int8() -> None:
    model = one_node_graph("Relu")
    node, scales = helper.make_node, (constant("s", 0.1), constant("z", 0, np.int8))
    model.graph.initializer.extend(scales)
    quantised = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("Conv", ["d", "identity"], ["a"]),
    ]
    nodes = [*quantised, *list(model.graph.node)[1:]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert plan_precision(take_apart(model, "prefix"), "fp16").low_tensors == {"b"}


def test_control_flow_is_refused(folder: Path) -> None:
    model = onnx.load(str(folder / "prefix.onnx"))
    branch = helper.make_graph([], "branch", [], [])
    model.graph.node.append(
        helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    )
    with pytest.raises(InvalidInputError, match="prefix: expected no control flow, got If"):
        take_apart(model, "prefix")


@pytest.mark.parametrize("name", ["prefix", "suffix"])
def test_types_are_spelt_out(folder: Path, name: str) -> None:
    graph = read_graph(folder / f"{name}.onnx", name)
    plan = plan_precision(graph, "fp16")
    typed = typed_graph(graph, plan)
    onnx.checker.check_model(typed.model, full_check=True)
    kinds = {"fp16": TensorProto.FLOAT16, "fp32": TensorProto.FLOAT}
    found = types_of(typed.model)
    assert {tensor: found[tensor] for tensor in typed.types} == {
        tensor: kinds[kind] for tensor, kind in typed.types.items()
    }
    assert len(plan.low) > 0
    given = {t.name: t.data_type for t in typed.model.graph.initializer}
    assert TensorProto.FLOAT16 in given.values()


def test_inputs_and_outputs_stay_as_the_manifest_has_them(folder: Path) -> None:
    graph = read_graph(folder / "suffix.onnx", "suffix")
    typed = typed_graph(graph, plan_precision(graph, "fp16"))
    assert list(typed.model.graph.input) == list(graph.model.graph.input)
    assert list(typed.model.graph.output) == list(graph.model.graph.output)
    # The last convolution is low, its result is cast.
    assert typed.types[computed_name("embeddings")] == "fp16"
    assert typed.types["embeddings"] == "fp32"


def test_typed_and_rounded_graphs_compute_what_the_original_does(folder: Path) -> None:
    image = (picture().transpose(2, 0, 1)[None] / 60.0 - 2).astype(np.float32)
    graph = read_graph(folder / "prefix.onnx", "prefix")
    (exact,) = run(graph.model, {"image": image})
    for precision, error in (("fp16", 4e-3), ("bf16", 4e-2)):
        plan = plan_precision(graph, precision)
        (rounded,) = run(rounding_graph(graph, plan), {"image": image})
        assert rounded == pytest.approx(exact, abs=error)
        assert np.abs(rounded - exact).max() > error / 100  # it does round
    (typed,) = run(typed_graph(graph, plan_precision(graph, "fp16")).model, {"image": image})
    assert typed == pytest.approx(exact, abs=4e-3)


def test_what_overflows_in_float16_overflows_in_the_rounded_graph_alone() -> None:
    """ONNX Runtime's CPU kernels compute in float32, which is why the rounding is spelt out."""
    model = one_node_graph("Mul", activations=2)
    graph = take_apart(model, "prefix")
    plan = plan_precision(graph, "fp16")
    x = np.full((1, 1, 4, 4), 300, np.float32)
    (typed,) = run(typed_graph(graph, plan).model, {"x": x})
    (rounded,) = run(rounding_graph(graph, plan), {"x": x})
    assert typed.max() == 90000
    assert np.isinf(rounded).all()
    bf16 = plan_precision(graph, "bf16")
    (rounded,) = run(rounding_graph(graph, bf16), {"x": x})
    assert rounded == pytest.approx(np.full_like(x, 90000), rel=2**-8)


def test_bfloat16_is_rounded_to_nearest_even() -> None:
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -3.3e38], np.float32)
    model = one_node_graph("Mul", constant("c", values.reshape(5, 1, 1, 1)))
    graph = take_apart(model, "prefix")
    low = frozenset(range(len(graph.nodes)))
    plan = PrecisionPlan("bf16", low, frozenset({"a", "b", "y"}))
    rounded = {t.name: t for t in rounding_graph(graph, plan).graph.initializer}
    found = numpy_helper.to_array(rounded["c__low"]).ravel()
    wanted = [1.0, 1.0, 1 + 2**-6, 1 + 2**-7]
    assert found[:4].tolist() == wanted
    assert found[4] == pytest.approx(-3.3e38, rel=2**-8)


def test_weights_stored_in_float16_are_read_as_float32(folder: Path) -> None:
    path = default_model_dir() / "suffix.onnx"
    graph = read_graph(path, "suffix")
    assert len(graph.widened) > 10
    assert not any(node.op_type == "Cast" for node in graph.nodes)
    name = next(iter(sorted(graph.widened)))
    assert graph.is_float(name)
    assert graph.values(name).dtype == np.float32
    plan = plan_precision(graph, "fp32")
    typed = typed_graph(graph, plan)
    assert {t.data_type for t in typed.model.graph.initializer} <= {
        TensorProto.FLOAT,
        TensorProto.INT64,
    }
    assert set(typed.types.values()) == {"fp32"}


def test_half_storage_changes_nothing_else(folder: Path) -> None:
    exact = onnx.load(str(load_manifest(folder).path_of("prefix")))
    stored = take_apart(store_weights_as_half(exact), "prefix")
    plain = take_apart(exact, "prefix")
    assert plan_precision(stored, "fp16").low == plan_precision(plain, "fp16").low
