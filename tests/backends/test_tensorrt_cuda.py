# SPDX-License-Identifier: Apache-2.0
"""How CUDA and TensorRT are called, and what is said where they are missing or too old."""

from __future__ import annotations

import sys
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from amodal_ros.backends.tensorrt import cuda as tensorrt_cuda
from amodal_ros.backends.tensorrt import library as tensorrt_library
from amodal_ros.backends.tensorrt.cuda import CudaPython
from amodal_ros.backends.tensorrt.library import check_version, load_library
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.loading import EngineOptions, open_backend
from tests.backends.fake_gpu import FakeLogger, Severity
from tests.fakes import fake_manifest


class Error(IntEnum):
    NONE = 0
    OUT_OF_MEMORY = 2


class Recorder:
    """`cuda.bindings.runtime` with every call noted; results as the bindings give them: tuples."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.cudaStreamNonBlocking = 1
        copies = {"HostToDevice": "to", "DeviceToHost": "from", "DeviceToDevice": "within"}
        self.cudaMemcpyKind = SimpleNamespace(**{f"cudaMemcpy{k}": v for k, v in copies.items()})
        modes = {"cudaStreamCaptureModeThreadLocal": "thread"}
        self.cudaStreamCaptureMode = SimpleNamespace(**modes)
        self.failing = ""

    def __getattr__(self, name: str) -> Any:
        results = {
            "cudaGetDevice": (0,),
            "cudaGetDeviceProperties": (SimpleNamespace(name=b"GPU\0\0", major=8, minor=7),),
            "cudaMalloc": (4096,),
            "cudaStreamCreateWithFlags": (7,),
            "cudaStreamEndCapture": ("noted",),
            "cudaGraphInstantiate": (99,),
        }

        def call(*arguments: Any) -> tuple[Any, ...]:
            if name == "cudaGetErrorString":
                return Error.NONE, b"out of memory"
            self.calls.append((name, *arguments))
            if name == self.failing:
                return (Error.OUT_OF_MEMORY, None)
            return (Error.NONE, *results.get(name, ()))

        return call


@pytest.fixture
def runtime(monkeypatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(tensorrt_cuda, "_import_runtime", lambda: recorder)
    return recorder


def test_calls_of_cuda(runtime: Recorder) -> None:
    cuda = CudaPython()
    assert cuda.identity() == ("GPU", "8.7")
    address, stream = cuda.allocate(16), cuda.create_stream()
    assert (address, stream) == (4096, 7)
    values = np.arange(4, dtype=np.float32)
    runtime.calls.clear()
    cuda.upload(address, values, stream)
    cuda.download(values, address, stream)
    cuda.copy(address, address + 8, 4, stream)
    cuda.begin_capture(stream)
    graph = cuda.end_capture(stream)
    cuda.launch(graph, stream)
    cuda.destroy_graph(graph)
    cuda.free(address)
    cuda.destroy_stream(stream)
    host = values.ctypes.data
    assert runtime.calls == [
        ("cudaMemcpyAsync", 4096, host, 16, "to", 7),
        ("cudaMemcpyAsync", host, 4096, 16, "from", 7),
        ("cudaStreamSynchronize", 7),
        ("cudaMemcpyAsync", 4096, 4104, 4, "within", 7),
        ("cudaStreamBeginCapture", 7, "thread"),
        ("cudaStreamEndCapture", 7),
        ("cudaGraphInstantiate", "noted", 0),
        ("cudaGraphDestroy", "noted"),
        ("cudaGraphLaunch", 99, 7),
        ("cudaGraphExecDestroy", 99),
        ("cudaFree", 4096),
        ("cudaStreamDestroy", 7),
    ]


def test_errors_of_cuda_are_named(runtime: Recorder) -> None:
    cuda = CudaPython()
    runtime.failing = "cudaMalloc"
    with pytest.raises(BackendError, match="cudaMalloc: CUDA error 2: out of memory"):
        cuda.allocate(1 << 40)


def test_missing_bindings(monkeypatch) -> None:
    for name in ("cuda", "cuda.bindings", "cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match=r"cuda-python cannot be imported .*pip install"):
        CudaPython()


@pytest.mark.parametrize("flavor", ["tensorrt", "tensorrt_rtx"])
def test_missing_library(monkeypatch, flavor: str) -> None:
    monkeypatch.setitem(sys.modules, flavor, None)
    with pytest.raises(BackendError, match=f"{flavor} cannot be imported .*install"):
        load_library(flavor)
    with pytest.raises(BackendError, match=f"{flavor} cannot be imported"):
        open_backend(fake_manifest(), EngineOptions(flavor))


def test_unknown_flavor() -> None:
    with pytest.raises(InvalidInputError, match="flavor: expected one of"):
        load_library("openvino")


@pytest.mark.parametrize("version", ["10.3.0", "10.13.3.9", "11.0.1", "8.6.2"])
def test_versions_that_are_taken(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["8.5.2.2", "8.4.1", "7.1.3"])
def test_jetpack_5_is_refused_by_name(version: str) -> None:
    with pytest.raises(BackendError, match=f"TensorRT {version}, as JetPack 5 and older"):
        check_version(version)


@pytest.mark.parametrize("version", ["9.3.0", "10.0.1", "10.2.0"])
def test_versions_in_between_are_refused(version: str) -> None:
    with pytest.raises(BackendError, match=f"{version}: expected 10.3 or newer"):
        check_version(version)


def test_only_old_versions_need_constraints(monkeypatch) -> None:
    for version, typed in (("8.6.1", False), ("10.3.0", True), ("11.0.0", True)):
        module = ModuleType("tensorrt")
        module.__version__ = version
        monkeypatch.setitem(sys.modules, "tensorrt", module)
        assert load_library("tensorrt").strongly_typed is typed


def test_messages_of_tensorrt_reach_pythons_log(caplog) -> None:
    library = tensorrt_library.TensorRtLibrary(
        "tensorrt", SimpleNamespace(ILogger=FakeLogger), "10.8"
    )
    log = library.logger()
    with caplog.at_level("DEBUG"):
        log.log(Severity.WARNING, "slow kernel")
        log.log(Severity.VERBOSE, "nothing of interest")
        log.log(Severity.ERROR, "no memory")
    assert [record.message for record in caplog.records] == ["slow kernel"]
    assert log.errors == ["no memory"]  # they go into exceptions
