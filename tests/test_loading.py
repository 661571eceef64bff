# SPDX-License-Identifier: Apache-2.0
"""Which engine runs a model folder: the order of `auto`, refusals, notes of passes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal_ros import loading
from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.errors import BackendError, InvalidInputError, RefusedEngineError
from amodal_ros.loading import (
    BACKENDS,
    EngineOptions,
    auto_order,
    load_engine,
    load_predictor,
    open_backend,
)
from amodal_ros.model_folder.manifest import ModelManifest, load_manifest
from tests.export.trt_support import write_model


class FakeOpenVino:
    """Computes in float32 what OpenVINO would compute; in 16 bits not always right."""

    device, device_name, version = "CPU", "a processor", "1"
    sixteen_bits = "bf16"
    broken: tuple[str, ...] = ()
    opened: list[str]

    def __init__(
        self, manifest: ModelManifest, device: str, precision: str, threads: int, cache: Any
    ) -> None:
        self.precision = self.sixteen_bits if precision == "auto" else precision
        self.opened.append(self.precision)
        self._engine = OnnxRuntimeBackend(manifest, intra_op_threads=1)

    @property
    def name(self) -> str:
        return f"openvino/CPU {self.precision}"

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self._engine.run(graph, inputs)
        sign = -1 if self.precision in self.broken else 1
        return {name: sign * values for name, values in outputs.items()}

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        self._engine.close()


@pytest.fixture
def openvino(monkeypatch: pytest.MonkeyPatch) -> type[FakeOpenVino]:
    kind = type("Fake", (FakeOpenVino,), {"opened": [], "broken": ()})
    monkeypatch.setattr(loading, "OpenVinoBackend", kind)
    return kind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def options(tmp_path: Path, backend: str = "auto", **more: Any) -> EngineOptions:
    return EngineOptions(backend, threads=1, cache_dir=tmp_path / "cache", **more)


def test_the_order_of_auto() -> None:
    order = auto_order(EngineOptions(threads=3))
    assert [(one.backend, one.on_cpu) for one in order] == [
        ("tensorrt", False),
        ("tensorrt_rtx", False),
        ("onnxruntime", False),
        ("openvino", True),
        ("onnxruntime", True),
    ]
    assert {one.threads for one in order} == {3}
    assert {one.backend for one in order} | {"auto"} == set(BACKENDS)


def test_auto_takes_openvino_here_and_says_why(folder: Path, tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.INFO, "amodal_ros"):
        predictor = load_predictor(folder, options(tmp_path))
    assert predictor.backend.name.startswith("openvino/CPU ")
    assert f"backend auto: {predictor.backend.name} runs the model" in caplog.text
    assert predictor.notes["precision_verified"] == "yes"
    why = predictor.notes["backend_asked_for"]
    assert why.startswith("auto; not tensorrt: tensorrt cannot be imported")
    assert "not onnxruntime with CUDAExecutionProvider: execution provider" in why
    assert not predictor.encodes_ahead
    predictor.warm_up()
    predictor.close()


def test_an_absent_package_is_no_error_for_auto_and_one_by_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    predictor = load_predictor(folder, options(tmp_path))
    assert predictor.backend.name == "onnxruntime/CPUExecutionProvider"
    assert predictor.notes["precision_verified"] == loading.FP32_ON_CPU
    assert "not openvino: openvino cannot be imported" in predictor.notes["backend_asked_for"]
    with pytest.raises(BackendError, match="install it with: pip install openvino"):
        load_predictor(folder, options(tmp_path, "openvino"))


def test_where_nothing_runs_all_reasons_are_given(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match=r"no engine can run it: not tensorrt: .*not openvino"):
        load_engine(load_manifest(folder), options(tmp_path))


@pytest.mark.parametrize("backend", ["auto", "openvino"])
def test_a_broken_bf16_graph_is_refused(
    folder: Path, tmp_path: Path, openvino: type[FakeOpenVino], caplog, backend: str
) -> None:
    """Precision auto goes on with f32, and says so; bf16 by name does not start."""
    openvino.broken = ("bf16",)
    predictor = load_predictor(folder, options(tmp_path, backend))
    assert openvino.opened == ["bf16", "f32", "f32"]  # again after the gate: see below
    assert predictor.backend.name == "openvino/CPU f32"
    assert "openvino/CPU bf16 fails the precision gate" in caplog.text
    assert "openvino/CPU bf16 fails the precision gate" in predictor.notes["backend_asked_for"]
    with pytest.raises(RefusedEngineError, match="FAILED: openvino/CPU bf16"):
        load_predictor(folder, options(tmp_path, "openvino", precision="bf16"))


def test_auto_goes_on_where_all_of_openvino_is_wrong(
    folder: Path, tmp_path: Path, openvino: type[FakeOpenVino]
) -> None:
    openvino.broken = ("bf16", "f32")
    predictor = load_predictor(folder, options(tmp_path))
    assert predictor.backend.name == "onnxruntime/CPUExecutionProvider"
    with pytest.raises(RefusedEngineError):
        load_predictor(folder, options(tmp_path, "openvino"))


def test_an_engine_is_compared_once(
    folder: Path, tmp_path: Path, openvino: type[FakeOpenVino], caplog
) -> None:
    text = "first load on this machine"
    with caplog.at_level(logging.INFO, "amodal_ros"):
        load_predictor(folder, options(tmp_path, "openvino"))
        assert text in caplog.text
        caplog.clear()
        load_predictor(folder, options(tmp_path, "openvino"))
        assert text not in caplog.text
        load_predictor(folder, options(tmp_path, "openvino", verify=True))
        assert text in caplog.text
        caplog.clear()
        openvino.version = "2"
        load_predictor(folder, options(tmp_path, "openvino"))
        assert text in caplog.text
        caplog.clear()
        load_predictor(folder, options(tmp_path, "openvino", max_batch=5))
        assert text in caplog.text


def test_what_the_gate_needed_of_memory_is_not_kept(
    folder: Path, tmp_path: Path, openvino: type[FakeOpenVino], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first start goes on with graphs that are opened as at each later one."""
    backends, real = [], loading.open_backend

    def opened(*given: Any) -> Any:
        backends.append(real(*given))
        return backends[-1]

    monkeypatch.setattr(loading, "open_backend", opened)
    predictor = load_predictor(folder, options(tmp_path, "openvino"))
    compared, used = backends
    assert predictor.backend is used
    with pytest.raises(BackendError):
        compared.run("prefix", {})
    predictor.warm_up()
    load_predictor(folder, options(tmp_path, "openvino"))
    assert len(backends) == 3


def test_onnxruntime_is_compared_when_asked(folder: Path, tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.INFO, "amodal_ros"):
        load_predictor(folder, options(tmp_path, "onnxruntime"))
        assert "comparing" not in caplog.text
        predictor = load_predictor(folder, options(tmp_path, "onnxruntime", verify=True))
    assert "comparing" in caplog.text
    assert predictor.notes["precision_verified"] == "yes"


def test_a_cache_that_cannot_be_written_only_costs_time(
    folder: Path, tmp_path: Path, openvino: type[FakeOpenVino], caplog
) -> None:
    (tmp_path / "file").write_text("no folder")
    given = EngineOptions("openvino", threads=1, cache_dir=tmp_path / "file")
    predictor = load_predictor(folder, given)
    assert predictor.backend.name == "openvino/CPU bf16"
    assert "nothing compiled is kept for the next start" in caplog.text


def test_the_users_cache_is_the_default(
    folder: Path, openvino: type[FakeOpenVino], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    load_predictor(folder, EngineOptions("openvino", threads=1))
    assert len(list((tmp_path / "mine" / "amodal_ros" / "openvino").glob("*.passed.json"))) == 1


def test_rows_of_a_call_suit_the_engine() -> None:
    assert EngineOptions("onnxruntime", threads=2).rows == 2
    assert (
        EngineOptions("onnxruntime", providers=[("CPUExecutionProvider", {})], threads=32).rows
        == 8
    )
    assert 1 <= EngineOptions("onnxruntime").rows <= 8
    assert EngineOptions("onnxruntime", providers=["CUDAExecutionProvider"], threads=2).rows == 8
    assert EngineOptions("tensorrt", threads=2).rows == 8
    assert EngineOptions("openvino", threads=2).rows == 2
    assert EngineOptions("openvino", device="GPU", threads=2).rows == 8
    assert EngineOptions("openvino", device="NPU").rows == 1
    assert EngineOptions("openvino", threads=1, max_batch=5).rows == 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backend": "magic"}, r"backend: expected one of .*tensorrt_rtx.* got 'magic'"),
        ({"max_batch": 0}, "max_batch: expected at least 1, got 0"),
        ({"precision": "int8"}, "precision: expected one of auto, f32, bf16, f16, got 'int8'"),
    ],
)
def test_unusable_options(values: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        EngineOptions(**values)


def test_only_an_engine_by_name_can_be_opened_unverified(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected an engine by name, got 'auto'"):
        open_backend(load_manifest(folder), EngineOptions())
