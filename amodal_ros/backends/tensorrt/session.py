# SPDX-License-Identifier: Apache-2.0
"""One engine with its context, stream and buffers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np

from amodal_ros.backends.base import RowRuns
from amodal_ros.backends.tensorrt.cuda import CudaPython
from amodal_ros.backends.tensorrt.library import TensorRtLibrary
from amodal_ros.backends.tensorrt.plan import GraphCache, GraphPlan
from amodal_ros.backends.tensorrt.tensors import BufferPool, DeviceTensor
from amodal_ros.errors import BackendError
from amodal_ros.model_folder.manifest import TensorSpec

logger = logging.getLogger(__name__)

_NUMPY_NAMES = {
    "float32": "FLOAT",
    "float16": "HALF",
    "int64": "INT64",
    "int32": "INT32",
    "bool": "BOOL",
}


class EngineSession:
    """Runs one graph. Calls of several threads take turns; sessions run beside each other.

    Args:
        library: TensorRT.
        cuda: of the GPU.
        plan: of the graph.
        engine: its bytes.
        kept: outputs that stay on the GPU for the next graph.
        download: copies from the GPU, for tensors that stayed there.
        runtime_cache: with TensorRT for RTX: kernels that were compiled for this GPU before.

    Raises:
        BackendError: when TensorRT refuses the engine, or it does not match the manifest.
    """

    def __init__(
        self,
        library: TensorRtLibrary,
        cuda: CudaPython,
        plan: GraphPlan,
        engine: bytes,
        kept: frozenset[str],
        download: Callable[[np.ndarray, int], None],
        runtime_cache: bytes = b"",
    ) -> None:
        self._cuda, self._plan, self._kept, self._download = cuda, plan, kept, download
        self._lock = Lock()
        self._log = library.logger()
        self._runtime = library.module.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise self._failure("TensorRT refuses the engine")
        check_engine_io(self._engine, plan.name, (*plan.spec.inputs, *plan.spec.outputs))
        self._runtime_cache: Any = None
        self._captures = library.flavor == "tensorrt"
        self._context = self._create_context(library, runtime_cache)
        if self._context is None:
            raise self._failure("TensorRT cannot make a context")
        self._stream = cuda.create_stream()
        self._inputs = {t.name: cuda.allocate(plan.buffer_bytes(t)) for t in plan.spec.inputs}
        self._outputs = {
            t.name: cuda.allocate(plan.buffer_bytes(t))
            for t in plan.spec.outputs
            if t.name not in kept
        }
        self._pools = {
            t.name: BufferPool(cuda, plan.buffer_bytes(t))
            for t in plan.spec.outputs
            if t.name in kept
        }
        self._bound: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._graphs = GraphCache()
        self._closed = False

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Runs the graph; inputs are arrays, or tensors on the GPU that are read where they lie.

        Raises:
            BackendError: for inputs that do not fit, or when TensorRT or CUDA fails.
        """
        shapes = self._plan.shapes(inputs)
        with self._lock:
            if self._closed:
                raise BackendError(f"{self._plan.name}: the engine has been closed")
            addresses = {name: self._place(name, value) for name, value in inputs.items()}
            leases = {name: pool.take() for name, pool in self._pools.items()}
            addresses.update({name: lease.address for name, lease in leases.items()})
            self._bind({**addresses, **self._outputs}, shapes)
            self._execute()
            outputs: dict[str, Any] = {}
            for spec in self._plan.spec.outputs:
                shape, dtype = shapes[spec.name], np.dtype(spec.dtype)
                if spec.name in leases:
                    lease = leases[spec.name]
                    outputs[spec.name] = DeviceTensor(lease, shape, dtype, self._download)
                else:
                    values = np.empty(shape, dtype)
                    self._cuda.download(values, self._outputs[spec.name], self._stream)
                    outputs[spec.name] = values
            self._cuda.synchronize(self._stream)
            return outputs

    def layer_information(self, json_format: Any) -> str:
        """What TensorRT's inspector says of the engine's layers."""
        return str(self._engine.create_engine_inspector().get_engine_information(json_format))

    def runtime_cache(self) -> bytes:
        """With TensorRT for RTX: the kernels compiled so far; else nothing."""
        if self._runtime_cache is None:
            return b""
        return bytes(memoryview(self._runtime_cache.serialize()))

    def close(self) -> None:
        """Frees everything; can be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for graph in self._graphs.clear():
                self._cuda.destroy_graph(graph)
            for pool in self._pools.values():
                pool.close()
            for address in (*self._inputs.values(), *self._outputs.values()):
                self._cuda.free(address)
            self._cuda.destroy_stream(self._stream)
            self._context = self._engine = self._runtime = self._runtime_cache = None

    def _create_context(self, library: TensorRtLibrary, runtime_cache: bytes) -> Any:
        """A context; TensorRT for RTX captures CUDA graphs itself and keeps compiled kernels."""
        if library.flavor == "tensorrt":
            return self._engine.create_execution_context()
        config = self._engine.create_runtime_config()
        config.cuda_graph_strategy = library.module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        cache = config.create_runtime_cache()
        if runtime_cache and not cache.deserialize(runtime_cache):
            logger.info("%s: compiled kernels are of another machine or driver", self._plan.name)
        config.set_runtime_cache(cache)
        self._runtime_cache = cache
        return self._engine.create_execution_context(config)

    def _place(self, name: str, value: Any) -> int:
        """Where an input lies on the GPU; what lies in several places is joined there."""
        if isinstance(value, DeviceTensor):
            return value.address
        address = self._inputs[name]
        target = address
        for part in value.parts if isinstance(value, RowRuns) else (value,):
            if isinstance(part, DeviceTensor):
                self._cuda.copy(target, part.address, part.nbytes, self._stream)
            else:
                part = np.ascontiguousarray(part)
                self._cuda.upload(target, part, self._stream)
            target += part.nbytes
        return address

    def _bind(self, addresses: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Tells TensorRT what has changed since the last call."""
        for name, address in addresses.items():
            if self._bound.get(name) != address:
                if not self._context.set_tensor_address(name, address):
                    raise self._failure(f"TensorRT refuses the buffer of {name}")
                self._bound[name] = address
        for spec in self._plan.spec.inputs:
            shape = shapes[spec.name]
            if self._shapes.get(spec.name) != shape:
                if not self._context.set_input_shape(spec.name, shape):
                    raise self._failure(f"TensorRT refuses the shape {shape} of {spec.name}")
                self._shapes[spec.name] = shape

    def _execute(self) -> None:
        """Puts the engine's work on the stream, as a CUDA graph from the third time on."""
        key = (tuple(sorted(self._shapes.items())), tuple(sorted(self._bound.items())))
        graph = self._graphs.get(key) if self._captures else None
        if graph is None and self._captures and self._graphs.worth_capturing(key):
            graph = self._capture()
            if graph is not None:
                for old in self._graphs.add(key, graph):
                    self._cuda.destroy_graph(old)
        if graph is not None:
            self._cuda.launch(graph, self._stream)
        else:
            self._enqueue()

    def _capture(self) -> int | None:
        """Notes the engine's work as a CUDA graph; None: it cannot be noted, now or later."""
        self._cuda.begin_capture(self._stream)
        problem: BackendError | None = None
        try:
            self._enqueue()
        except BackendError as error:
            problem = error
        graph: int | None = None
        try:
            # Ended in any case, or the stream could never be used again.
            graph = self._cuda.end_capture(self._stream)
        except BackendError as error:
            problem = problem or error
        if problem is None:
            return graph
        if graph is not None:
            self._cuda.destroy_graph(graph)
        logger.info("%s: runs without CUDA graphs: %s", self._plan.name, problem)
        self._captures = False
        return None

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._stream):
            raise self._failure("TensorRT cannot run the engine")

    def _failure(self, what: str) -> BackendError:
        reasons = "; ".join(self._log.errors) or "it gives no reason"
        self._log.errors.clear()
        return BackendError(f"{self._plan.name}: {what}: {reasons}")


def check_engine_io(engine: Any, name: str, specs: Sequence[TensorSpec]) -> None:
    """Compares an engine's inputs and outputs with the manifest.

    Raises:
        BackendError: naming what differs.
    """
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    have = {tensor: engine.get_tensor_dtype(tensor).name for tensor in names}
    expected = {spec.name: _NUMPY_NAMES[spec.dtype] for spec in specs}
    if have != expected:
        raise BackendError(f"{name}: the engine has {have}, the manifest says {expected}")
