# SPDX-License-Identifier: Apache-2.0
"""What was asked of ONNX Runtime is what runs, and a run can be ended."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from amodal_ros.backends.onnxruntime import session
from amodal_ros.errors import BackendError
from tests.backends.test_onnxruntime_backend import (
    constant,
    open_folder,
    prefix_graph,
    suffix_graph,
    write_folder,
)
from tests.fakes import SIZE

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
IMAGE = {"image": np.zeros((1, 3, SIZE, SIZE), np.float32)}


class OnlySaysCuda(onnxruntime.InferenceSession):
    """A session on the CPU that calls it CUDA; which operator went where, it says truly."""

    opened: list[tuple[list[str], list[dict[str, Any]]]] = []  # noqa: RUF012

    def __init__(self, path: str, sess_options: Any, providers: Any, provider_options: Any):
        self.opened.append((providers, provider_options))
        super().__init__(path, sess_options=sess_options, providers=[CPU])

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]


@pytest.fixture
def says_cuda(monkeypatch: pytest.MonkeyPatch) -> type[OnlySaysCuda]:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", OnlySaysCuda)
    monkeypatch.setattr(OnlySaysCuda, "opened", [])
    return OnlySaysCuda


def convolving_prefix() -> Any:
    graph = prefix_graph()
    graph.node[0].CopyFrom(helper.make_node("Conv", ["image", "kernel"], ["features"], "conv_7"))
    graph.initializer.append(constant("kernel", np.ones((1, 3, 1, 1)), TensorProto.FLOAT))
    return graph


def test_convolutions_that_end_on_the_cpu_are_refused(tmp_path: Path, says_cuda: Any) -> None:
    write_folder(tmp_path, prefix=convolving_prefix())
    with pytest.raises(
        BackendError, match=r"1 operators would not run on CUDA.*Conv conv_7.*add CPUExecution"
    ):
        open_folder(tmp_path, providers=[CUDA])
    backend = open_folder(tmp_path, providers=[CUDA, CPU])
    assert backend.run("prefix", IMAGE)["features"].shape == (1, 1, SIZE, SIZE)


def test_small_operators_may_run_on_the_cpu(tmp_path: Path, says_cuda: Any) -> None:
    backend = open_folder(write_folder(tmp_path), providers=[CUDA])
    assert backend.name == "onnxruntime/CUDAExecutionProvider"


def test_options_reach_their_provider(tmp_path: Path, says_cuda: Any) -> None:
    open_folder(write_folder(tmp_path), providers=[(CUDA, {"device_id": 1}), CPU])
    assert says_cuda.opened == [([CUDA, CPU], [{"device_id": 1}, {}])] * 3


def test_a_provider_that_fails_is_not_replaced(tmp_path: Path) -> None:
    backend = open_folder(write_folder(tmp_path))
    assert not any(session._enable_fallback for session in backend._sessions.values())


@pytest.mark.parametrize("level", ["none", "basic", "extended", "all"])
def test_optimisation_changes_no_result(tmp_path: Path, level: str) -> None:
    backend = open_folder(
        write_folder(tmp_path, prefix=convolving_prefix()), graph_optimization=level
    )
    image = np.random.default_rng(0).random((1, 3, SIZE, SIZE), np.float32)
    got = backend.run("prefix", {"image": image})["features"]
    assert got == pytest.approx(image.sum(axis=1, keepdims=True), abs=1e-5)


def endless_suffix() -> Any:
    """Half a minute of tiny steps before its answer."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Neg", ["value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, ["N"]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["N"]),
        ],
    )
    graph = suffix_graph()
    loop = helper.make_node("Loop", ["steps", "", "adapter_gain"], ["slow_gain"], body=body)
    graph.node.insert(0, loop)
    graph.node[1].input[0] = "slow_gain"
    graph.initializer.append(constant("steps", 20_000_000, TensorProto.INT64))
    return graph


def test_a_run_in_progress_can_be_interrupted(tmp_path: Path) -> None:
    backend = open_folder(write_folder(tmp_path, suffix=endless_suffix()))
    threading.Timer(0.3, backend.interrupt).start()
    start = time.monotonic()
    with pytest.raises(BackendError, match="interrupted: suffix was ended"):
        backend.run(
            "suffix",
            {
                "features": np.zeros((1, 1, SIZE, SIZE), np.float32),
                "prior_masks": np.zeros((2, 1, SIZE, SIZE), np.float32),
                "adapter_gain": np.ones(2, np.float32),
            },
        )
    assert time.monotonic() - start < 3
    with pytest.raises(BackendError, match="interrupted: prefix was not run"):
        backend.run("prefix", IMAGE)


def test_two_onnxruntimes_over_each_other_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU's, installed last, has overwritten the GPU's."""
    write_folder(tmp_path)
    monkeypatch.setattr(session.metadata, "version", lambda name: "1.20")
    with pytest.raises(BackendError) as caught:
        open_folder(tmp_path, providers=[CUDA, CPU])
    assert "CUDAExecutionProvider is not available in this onnxruntime" in str(caught.value)
    assert "onnxruntime 1.20 and onnxruntime-gpu 1.20 are installed over" in str(caught.value)
    assert "pip uninstall onnxruntime onnxruntime-gpu, then install one" in str(caught.value)


def test_the_library_that_a_provider_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA is listed, its libraries are missing, and ONNX Runtime goes on with the CPU alone."""
    write_folder(tmp_path)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    (tmp_path / "capi").mkdir()
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "__init__.py"))

    def load(name: str, *_: object) -> None:
        if "cuda" in name:
            raise OSError("libcublasLt.so.12: cannot open shared object file")

    monkeypatch.setattr(session.ctypes, "CDLL", load)
    with pytest.raises(BackendError) as caught:
        open_folder(tmp_path, providers=[CUDA, CPU])
    assert "libonnxruntime_providers_cuda.so does not load: libcublasLt.so.12" in str(caught.value)
    monkeypatch.setattr(session.ctypes, "CDLL", lambda *_: None)
    with pytest.raises(BackendError, match="a driver or a device is missing"):
        open_folder(tmp_path, providers=[CUDA, CPU])
