# SPDX-License-Identifier: Apache-2.0
"""Compiles a graph with OpenVINO for one device, in the precision that was asked for."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.backends.base import FoundTensor, check_graph_tensors
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.model_folder.manifest import GraphSpec

_DTYPES = {"f32": "float32", "f16": "float16", "i64": "int64", "i32": "int32", "boolean": "bool"}
_SHAPES_KEPT = 16  # compiled graphs per graph on a device that takes fixed shapes only


class PrecisionHint(str, Enum):
    """What a device computes in; see `OpenVinoBackend`."""

    AUTO = "auto"
    F32 = "f32"
    BF16 = "bf16"
    F16 = "f16"

    @classmethod
    def parse(cls, text: str) -> PrecisionHint:
        """The one of that name.

        Raises:
            InvalidInputError: when there is none.
        """
        known = [hint.value for hint in cls]
        if text not in known:
            raise InvalidInputError(f"precision: expected one of {', '.join(known)}, got {text!r}")
        return cls(text)


def import_openvino() -> Any:
    """Imports OpenVINO, which is needed by this backend alone.

    Raises:
        BackendError: when it cannot be imported.
    """
    try:
        import openvino
    except ImportError as error:
        raise BackendError(
            f"openvino cannot be imported ({error}); install it with: pip install openvino"
        ) from error
    return openvino


class CompiledGraph:
    """A compiled graph and its idle requests, or one for each set of input shapes.

    Args:
        openvino: the library.
        compile_for: compiles it; for these shapes, or with None for all.
        fixed_shapes: the device takes no varying lengths.
    """

    def __init__(self, openvino: Any, compile_for: Any, fixed_shapes: bool) -> None:
        self._openvino = openvino
        self._lock = threading.Lock()
        self._compiled: dict[Any, Any] = {}
        self._idle: dict[Any, list[Any]] = {}
        self.precision = ""
        # It holds the graph as read, weights and all: not kept where nothing is compiled later.
        self._compile_for = compile_for if fixed_shapes else None
        if not fixed_shapes:
            self._add(None, compile_for(None))

    @contextmanager
    def request(
        self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> Iterator[Any]:
        """A request with these inputs and outputs set, for the time of the `with` block.

        It reads and writes the arrays where they lie: they must outlive the block. Afterwards it
        touches none of them: at its next use it gets others. An output that cannot have its
        array's shape is left to the engine.
        """
        key = self._key(inputs)
        with self._lock:
            idle, compiled = self._idle[key], self._compiled[key]
            request = idle.pop() if idle else compiled.create_infer_request()
        for name, values in inputs.items():
            array = np.ascontiguousarray(values)
            shared = array.flags.writeable and array is values
            request.set_tensor(name, self._openvino.Tensor(array, shared_memory=shared))
        for name, array in outputs.items():
            shape = self._openvino.PartialShape(list(array.shape))
            if compiled.output(name).partial_shape.compatible(shape):
                request.set_tensor(name, self._openvino.Tensor(array, shared_memory=True))
        yield request
        # Not after an error: what state a failed request is in is not documented.
        with self._lock:
            if key in self._idle:
                self._idle[key].append(request)

    def _key(self, inputs: Mapping[str, np.ndarray]) -> Any:
        compile_for = self._compile_for
        if compile_for is None:
            return None
        shapes = {name: values.shape for name, values in inputs.items()}
        key = tuple(sorted(shapes.items()))
        with self._lock:
            if key in self._compiled:
                return key
            if len(self._compiled) >= _SHAPES_KEPT:
                oldest = next(iter(self._compiled))
                del self._compiled[oldest], self._idle[oldest]
            self._add(key, compile_for(shapes))
            return key

    def _add(self, key: Any, compiled: Any) -> None:
        self._compiled[key], self._idle[key] = compiled, []
        self.precision = precision_of(compiled)


def precision_of(compiled: Any) -> str:
    """What a compiled graph computes in, as `bf16`."""
    return str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())


@functools.cache
def core_of(openvino: Any) -> Any:
    """The one core of this process, which lasts as long as the process.

    OpenVINO's CPU plugin gives the thread that makes it a signal stack of its own, and puts back
    what it found when it goes. Of two that do not go in the opposite order, or that go in another
    thread, the thread is left with a stack that is no longer there: the next signal, a child's end
    or SIGTERM, ends the process with SIGSEGV. A plugin that stays keeps its stack.
    """
    return openvino.Core()


class Compiler:
    """Compiles the graphs of a model folder for one device.

    Raises:
        BackendError: when there is no such device.
    """

    def __init__(
        self,
        openvino: Any,
        device: str,
        precision: PrecisionHint,
        threads: int,
        cache_dir: Path | None,
    ) -> None:
        self._openvino, self._device, self._precision = openvino, device, precision
        self._core = core_of(openvino)
        available = self._core.available_devices
        if not any(device in (name, name.split(".")[0]) for name in available):
            raise BackendError(
                f"device {device} is not available to OpenVINO; it has {', '.join(available)}"
            )
        self.version = str(openvino.get_version())
        self.device_name = str(self._core.get_property(device, "FULL_DEVICE_NAME"))
        self._options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if device == "CPU":
            # Pinned threads would share a core with whatever the scheduler put there before.
            self._options |= {"NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
            if threads:
                self._options["INFERENCE_NUM_THREADS"] = threads
        if precision is not PrecisionHint.AUTO:
            self._options["INFERENCE_PRECISION_HINT"] = precision.value
        self._keeps = cache_dir is not None
        if cache_dir is not None:
            self._options["CACHE_DIR"] = str(cache_dir)

    def compile(self, path: Path, spec: GraphSpec) -> CompiledGraph:
        """Compiles one graph.

        Raises:
            BackendError: when it does not load, does not match the manifest, or would compute in
                another precision.
        """
        try:
            model = self._core.read_model(str(path))
        except RuntimeError as error:
            raise BackendError(f"{path}: openvino cannot read it: {error}") from error
        check_graph_tensors(f"{path}: input", _tensors(model.inputs), spec.inputs, vague=False)
        check_graph_tensors(f"{path}: output", _tensors(model.outputs), spec.outputs, vague=True)

        def compile_for(shapes: Mapping[str, tuple[int, ...]] | None) -> Any:
            if shapes is not None:
                model.reshape({name: list(shape) for name, shape in shapes.items()})
            else:
                _let_shared_rows_vary(model)
            return self._compile(path, model)

        # An NPU's compiler takes no varying lengths.
        return CompiledGraph(self._openvino, compile_for, self._device.startswith("NPU"))

    def _compile(self, path: Path, model: Any) -> Any:
        try:
            compiled = self._core.compile_model(model, self._device, self._options)
            if self._keeps and not compiled.get_property("LOADED_FROM_CACHE"):
                # What was compiled just now holds its weights in memory. As it was kept it maps
                # them from the file, as at every later start.
                compiled = None
                compiled = self._core.compile_model(model, self._device, self._options)
        except RuntimeError as error:
            raise BackendError(f"{path}: openvino cannot compile it: {error}") from error
        found, asked = precision_of(compiled), self._precision
        if asked is not PrecisionHint.AUTO and found != asked.value:
            raise BackendError(
                f"{path}: precision {asked.value} was asked for, but {self._device}"
                f" ({self.device_name}) would compute in {found}"
            )
        return compiled


def _let_shared_rows_vary(model: Any) -> None:
    """Lets inputs of one row, which all objects share, have any number where the others vary.

    The CPU plugin (2026.4) computes a convolution and an addition after it in one step, in the
    memory of the other summand. Where that is known to have one row and the convolution's number
    is not known, it takes the two for equal, and fails with more rows ("Can not clone with new
    dims"). Where neither is known it looks before each run.
    """
    shapes = {port.get_any_name(): port.partial_shape for port in model.inputs}
    if any(shape[0].is_dynamic for shape in shapes.values()):
        model.reshape({name: [-1, *list(shape)[1:]] for name, shape in shapes.items()})


def _tensors(ports: Any) -> list[FoundTensor]:
    """What a graph file says of its inputs or outputs."""
    return [
        FoundTensor(
            frozenset(port.get_names()),
            _DTYPES.get(port.element_type.get_type_name(), str(port.element_type)),
            tuple(
                None if length.is_dynamic else length.get_length() for length in port.partial_shape
            ),
        )
        for port in ports
    ]
