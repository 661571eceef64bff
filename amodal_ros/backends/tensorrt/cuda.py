# SPDX-License-Identifier: Apache-2.0
"""The few CUDA calls that the TensorRT backend needs, through NVIDIA's own `cuda-python`."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from amodal_ros.errors import BackendError

# `cuda-python` 12.6 and newer, then older ones (JetPack 6).
_MODULES = ("cuda.bindings.runtime", "cuda.cudart")


class CudaPython:
    """Memory, streams and graphs of the current GPU. Addresses and handles are plain integers.

    Raises:
        BackendError: when there is no library, driver or GPU, with the reason.
    """

    def __init__(self) -> None:
        self._runtime = _import_runtime()
        self._graphs: dict[int, Any] = {}
        self._device = int(self._call("cudaGetDevice"))

    def identity(self) -> tuple[str, str]:
        """The GPU's name, and its compute capability as `8.9`."""
        properties = self._call("cudaGetDeviceProperties", self._device)
        name = properties.name
        text = name.decode() if isinstance(name, bytes) else str(name)
        return text.rstrip("\0"), f"{properties.major}.{properties.minor}"

    def allocate(self, size: int) -> int:
        """`size` bytes of device memory."""
        return int(self._call("cudaMalloc", size))

    def free(self, address: int) -> None:
        """Gives device memory back."""
        self._call("cudaFree", address)

    def create_stream(self) -> int:
        """A stream that does not wait for the default one."""
        flag = self._runtime.cudaStreamNonBlocking
        return int(self._call("cudaStreamCreateWithFlags", flag))

    def destroy_stream(self, stream: int) -> None:
        """Ends a stream."""
        self._call("cudaStreamDestroy", stream)

    def upload(self, address: int, source: np.ndarray, stream: int) -> None:
        """Copies a C-contiguous array to the device; it may be changed afterwards.

        CUDA has read pageable memory when the call returns.
        """
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, source.ctypes.data, source.nbytes, kind, stream)

    def download(self, target: np.ndarray, address: int, stream: int) -> None:
        """Copies from the device into a C-contiguous array, after what the stream has to do."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", target.ctypes.data, address, target.nbytes, kind, stream)
        self.synchronize(stream)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Copies `size` bytes within the device."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self._call("cudaMemcpyAsync", target, source, size, kind, stream)

    def synchronize(self, stream: int) -> None:
        """Waits until a stream has done everything."""
        self._call("cudaStreamSynchronize", stream)

    def begin_capture(self, stream: int) -> None:
        """From here on, calls on the stream are noted and not carried out.

        Calls of other threads are left alone.
        """
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)

    def end_capture(self, stream: int) -> int:
        """What was noted, as a graph that can be launched."""
        noted = self._call("cudaStreamEndCapture", stream)
        try:
            graph = self._call("cudaGraphInstantiate", noted, 0)
        finally:
            self._call("cudaGraphDestroy", noted)
        self._graphs[int(graph)] = graph
        return int(graph)

    def launch(self, graph: int, stream: int) -> None:
        """Carries a graph out on a stream."""
        self._call("cudaGraphLaunch", self._graphs[graph], stream)

    def destroy_graph(self, graph: int) -> None:
        """Gives a graph back."""
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
