# SPDX-License-Identifier: Apache-2.0
"""The few CUDA calls that the TensorRT backend needs, through NVIDIA's own `cuda-python`."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import numpy as np

from amodal_ros.errors import BackendError

# `cuda-python` 12.6 and newer, then older ones (JetPack 6).
_MODULES = ("cuda.bindings.runtime", "cuda.cudart")


class Cuda(Protocol):
    """Memory, streams and graphs of one GPU. Addresses and handles are plain integers."""

    def identity(self) -> tuple[str, str]:
        """The GPU's name, and its compute capability as `8.9`."""

    def allocate(self, size: int) -> int:
        """`size` bytes of device memory."""

    def free(self, address: int) -> None:
        """Gives device memory back."""

    def create_stream(self) -> int:
        """A stream that does not wait for the default one."""

    def destroy_stream(self, stream: int) -> None:
        """Ends a stream."""

    def upload(self, address: int, source: np.ndarray, stream: int) -> None:
        """Copies a C-contiguous array to the device; it may be changed afterwards."""

    def download(self, target: np.ndarray, address: int, stream: int) -> None:
        """Copies from the device into a C-contiguous array, after what the stream has to do."""

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Copies `size` bytes within the device."""

    def synchronize(self, stream: int) -> None:
        """Waits until a stream has done everything."""

    def begin_capture(self, stream: int) -> None:
        """From here on, calls on the stream are noted and not carried out."""

    def end_capture(self, stream: int) -> int:
        """What was noted, as a graph that can be launched."""

    def launch(self, graph: int, stream: int) -> None:
        """Carries a graph out on a stream."""

    def destroy_graph(self, graph: int) -> None:
        """Gives a graph back."""


class CudaPython:
    """`Cuda` on the current device.

    Raises:
        BackendError: when there is no library, driver or GPU, with the reason.
    """

    def __init__(self) -> None:
        self._runtime = _import_runtime()
        self._graphs: dict[int, Any] = {}
        self._device = int(self._call("cudaGetDevice"))

    def identity(self) -> tuple[str, str]:
        """See `Cuda.identity`."""
        properties = self._call("cudaGetDeviceProperties", self._device)
        name = properties.name
        text = name.decode() if isinstance(name, bytes) else str(name)
        return text.rstrip("\0"), f"{properties.major}.{properties.minor}"

    def allocate(self, size: int) -> int:
        """See `Cuda.allocate`."""
        return int(self._call("cudaMalloc", size))

    def free(self, address: int) -> None:
        """See `Cuda.free`."""
        self._call("cudaFree", address)

    def create_stream(self) -> int:
        """See `Cuda.create_stream`."""
        flag = self._runtime.cudaStreamNonBlocking
        return int(self._call("cudaStreamCreateWithFlags", flag))

    def destroy_stream(self, stream: int) -> None:
        """See `Cuda.destroy_stream`."""
        self._call("cudaStreamDestroy", stream)

    def upload(self, address: int, source: np.ndarray, stream: int) -> None:
        """See `Cuda.upload`: CUDA has read pageable memory when the call returns."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, source.ctypes.data, source.nbytes, kind, stream)

    def download(self, target: np.ndarray, address: int, stream: int) -> None:
        """See `Cuda.download`."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", target.ctypes.data, address, target.nbytes, kind, stream)
        self.synchronize(stream)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """See `Cuda.copy`."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self._call("cudaMemcpyAsync", target, source, size, kind, stream)

    def synchronize(self, stream: int) -> None:
        """See `Cuda.synchronize`."""
        self._call("cudaStreamSynchronize", stream)

    def begin_capture(self, stream: int) -> None:
        """See `Cuda.begin_capture`; calls of other threads are left alone."""
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)

    def end_capture(self, stream: int) -> int:
        """See `Cuda.end_capture`."""
        noted = self._call("cudaStreamEndCapture", stream)
        try:
            graph = self._call("cudaGraphInstantiate", noted, 0)
        finally:
            self._call("cudaGraphDestroy", noted)
        self._graphs[int(graph)] = graph
        return int(graph)

    def launch(self, graph: int, stream: int) -> None:
        """See `Cuda.launch`."""
        self._call("cudaGraphLaunch", self._graphs[graph], stream)

    def destroy_graph(self, graph: int) -> None:
        """See `Cuda.destroy_graph`."""
        self._call("cudaGraphExecDestroy", self._graphs.pop(graph))

    def _call(self, name: str, *arguments: Any) -> Any:
        """Calls CUDA's runtime.

        Raises:
            BackendError: naming the call and CUDA's error.
        """
        try:
            error, *values = getattr(self._runtime, name)(*arguments)
        except RuntimeError as problem:  # the bindings do not find the library
            raise BackendError(f"{name}: {problem}") from problem
        if int(error) != 0:
            text = self._runtime.cudaGetErrorString(error)[1]
            reason = text.decode() if isinstance(text, bytes) else str(text)
            raise BackendError(f"{name}: CUDA error {int(error)}: {reason}")
        return values[0] if values else None


def _import_runtime() -> Any:
    """Imports the bindings under the name that their version has."""
    problems = []
    for name in _MODULES:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            problems.append(str(error))
    raise BackendError(
        f"cuda-python cannot be imported ({'; '.join(problems)}); install it with:"
        " pip install cuda-python, in the major version of the machine's CUDA"
    )
