# SPDX-License-Identifier: Apache-2.0
"""A GPU and a TensorRT that do nothing before they must, and note every call.

Work put on a stream is done when somebody waits for the stream, and not earlier: code that forgets
to wait, frees memory that is in use, or gives a wrong address reads rubbish or fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np

from amodal_ros.errors import BackendError
from amodal_ros.model_folder.manifest import GraphSpec, ModelManifest
from tests.fakes import FakeBackend

RUBBISH = 0xCD
NAMES = {"float32": "FLOAT"}


class FakeCuda:
    """`CudaPython` in host memory."""

    def __init__(self, name: str = "Test GPU", compute_capability: str = "8.9") -> None:
        self._identity = (name, compute_capability)
        self._lock = threading.RLock()
        self._next = 0x1000
        self.memory: dict[int, bytearray] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.capturing: dict[int, list[Callable[[], None]]] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.calls: list[str] = []

    def identity(self) -> tuple[str, str]:
        return self._identity

    def allocate(self, size: int) -> int:
        with self._lock:
            self.calls.append("allocate")
            address = self._handle(size)
            self.memory[address] = bytearray([RUBBISH]) * size
            return address

    def free(self, address: int) -> None:
        with self._lock:
            del self.memory[address]

    def create_stream(self) -> int:
        with self._lock:
            stream = self._handle(1)
            self.streams[stream] = []
            return stream

    def destroy_stream(self, stream: int) -> None:
        with self._lock:
            assert self.streams.pop(stream) == [], "a stream with work to do"

    def upload(self, address: int, source: np.ndarray, stream: int) -> None:
        assert source.flags.c_contiguous
        data = source.tobytes()
        self.calls.append("upload")
        self.enqueue(stream, lambda: self.write(address, data))

    def download(self, target: np.ndarray, address: int, stream: int) -> None:
        assert target.flags.c_contiguous
        self.calls.append("download")
        self.synchronize(stream)
        data = self.read(address, target.nbytes)
        target[...] = np.frombuffer(data, target.dtype).reshape(target.shape)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        self.calls.append("copy")
        self.enqueue(stream, lambda: self.write(target, self.read(source, size)))

    def synchronize(self, stream: int) -> None:
        with self._lock:
            assert stream not in self.capturing, "waiting for a stream that is being captured"
            work, self.streams[stream] = self.streams[stream], []
        for operation in work:
            operation()

    def begin_capture(self, stream: int) -> None:
        self.calls.append("capture")
        self.capturing[stream] = []

    def end_capture(self, stream: int) -> int:
        with self._lock:
            graph = self._handle(1)
            self.graphs[graph] = self.capturing.pop(stream)
            return graph

    def launch(self, graph: int, stream: int) -> None:
        self.calls.append("launch")
        for operation in self.graphs[graph]:
            self.enqueue(stream, operation)

    def destroy_graph(self, graph: int) -> None:
        del self.graphs[graph]

    def enqueue(self, stream: int, operation: Callable[[], None]) -> None:
        with self._lock:
            self.capturing.get(stream, self.streams[stream]).append(operation)

    def read(self, address: int, size: int) -> bytes:
        block, start = self._find(address, size)
        return bytes(block[start : start + size])

    def write(self, address: int, data: bytes) -> None:
        block, start = self._find(address, len(data))
        block[start : start + len(data)] = data

    def _find(self, address: int, size: int) -> tuple[bytearray, int]:
        with self._lock:
            for start, block in self.memory.items():
                if start <= address and address + size <= start + len(block):
                    return block, address - start
        raise BackendError(f"CUDA error 700: illegal address {address:#x}")

    def _handle(self, size: int) -> int:
        handle = self._next
        self._next += size + 256
        return handle


class Severity(Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class FakeLogger:
    Severity = Severity

    def __init__(self) -> None:
        pass


class FakeContext:
    """An execution context: what is bound when work is enqueued counts."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.addresses: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.failing = False
        self.failing_in_capture = False

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = tuple(shape)
        return True

    def execute_async_v3(self, stream: int) -> bool:
        trt = self._engine.trt
        if self.failing or (self.failing_in_capture and stream in trt.cuda.capturing):
            self._engine.log.log(Severity.ERROR, "the fake context fails")
            return False
        trt.enqueued.append(self._engine.graph)
        addresses, shapes = dict(self.addresses), dict(self.shapes)
        trt.cuda.enqueue(stream, lambda: self._engine.compute(addresses, shapes))
        return True


class FakeEngine:
    """Computes what `FakeBackend` does, from and to the fake GPU's memory."""

    def __init__(self, trt: FakeTrt, log: Any, graph: str, spec: GraphSpec) -> None:
        self.trt, self.log, self.graph, self.spec = trt, log, graph, spec
        self._tensors = [*spec.inputs, *spec.outputs]
        self.num_io_tensors = len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return self._tensors[index].name

    def get_tensor_dtype(self, name: str) -> Any:
        (tensor,) = (t for t in self._tensors if t.name == name)
        return SimpleNamespace(name=self.trt.dtypes.get(name, NAMES[tensor.dtype]))

    def create_execution_context(self, config: Any = None) -> FakeContext:
        context = FakeContext(self)
        self.trt.contexts[self.graph] = context
        self.trt.configs[self.graph] = config
        return context

    def create_runtime_config(self) -> Any:
        return FakeRuntimeConfig()

    def compute(self, addresses: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> None:
        inputs = {}
        for tensor in self.spec.inputs:
            size = int(np.prod(shapes[tensor.name])) * np.dtype(tensor.dtype).itemsize
            data = self.trt.cuda.read(addresses[tensor.name], size)
            inputs[tensor.name] = np.frombuffer(data, tensor.dtype).reshape(shapes[tensor.name])
        for name, values in self.trt.model.run(self.graph, inputs).items():
            self.trt.cuda.write(addresses[name], np.ascontiguousarray(values).tobytes())


class FakeRuntimeCache:
    def __init__(self) -> None:
        self.content = b"kernels"
        self.loaded: bytes | None = None

    def deserialize(self, content: bytes) -> bool:
        self.loaded = content
        return True

    def serialize(self) -> bytes:
        return self.content


class FakeRuntimeConfig:
    def __init__(self) -> None:
        self.cuda_graph_strategy: Any = None
        self.cache: FakeRuntimeCache | None = None

    def create_runtime_cache(self) -> FakeRuntimeCache:
        return FakeRuntimeCache()

    def set_runtime_cache(self, cache: FakeRuntimeCache) -> bool:
        self.cache = cache
        return True


class FakeTrt:
    """The `tensorrt` module as the backend uses it; an engine's bytes are its graph's name."""

    ILogger = FakeLogger
    CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole graph")

    def __init__(self, cuda: FakeCuda, manifest: ModelManifest) -> None:
        self.cuda, self._manifest = cuda, manifest
        self.model = FakeBackend(manifest)
        self.enqueued: list[str] = []
        self.contexts: dict[str, FakeContext] = {}
        self.configs: dict[str, Any] = {}
        self.dtypes: dict[str, str] = {}

    def Runtime(self, log: Any) -> Any:  # noqa: N802  (TensorRT's name)
        def deserialize(data: bytes) -> FakeEngine | None:
            graph = data.decode()
            if graph not in self._manifest.graphs:
                log.log(Severity.ERROR, "magic tag does not match")
                return None
            return FakeEngine(self, log, graph, self._manifest.graphs[graph])

        return SimpleNamespace(deserialize_cuda_engine=deserialize)
