# SPDX-License-Identifier: Apache-2.0
"""Runs a model folder's engines with TensorRT or TensorRT for RTX on an NVIDIA GPU.

Each graph has a context, a stream and a lock of its own: while one thread has the suffix of a
frame computed, another can have the prefix of the next one. What one graph computes for the next
stays on the GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from amodal_ros.backends.tensorrt.cuda import CudaPython
from amodal_ros.backends.tensorrt.engine_cache import EngineSet, Machine, find_engine_set
from amodal_ros.backends.tensorrt.library import TensorRtLibrary, load_library
from amodal_ros.backends.tensorrt.plan import GraphPlan
from amodal_ros.backends.tensorrt.session import EngineSession
from amodal_ros.errors import BackendError
from amodal_ros.files import write_bytes
from amodal_ros.model_folder.manifest import ModelManifest

logger = logging.getLogger(__name__)

_KERNELS = "{graph}.kernels"  # what TensorRT for RTX compiled on this machine


class TensorRtBackend:
    """One engine per graph. `run` may be called from several threads.

    Raises:
        BackendError: when an engine cannot be loaded.
        ManifestError: when an engine's file is missing or altered.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        engines: EngineSet,
        library: TensorRtLibrary,
        cuda: CudaPython,
        machine: Machine,
    ) -> None:
        self.engines, self.machine = engines, machine
        self._cuda = cuda
        self._copies = Lock()
        self._interrupted = False
        self._stream = cuda.create_stream()
        self._sessions: dict[str, EngineSession] = {}
        inputs = {t.name for spec in manifest.graphs.values() for t in spec.inputs}
        try:
            for graph, spec in manifest.graphs.items():
                key = engines.key
                self._sessions[graph] = EngineSession(
                    library,
                    cuda,
                    GraphPlan(graph, spec, key.max_batch, key.max_points),
                    engines.read(graph),
                    frozenset(t.name for t in spec.outputs if t.name in inputs),
                    self._download,
                    self._read_kernels(graph),
                )
        except BaseException:
            self.close()
            raise
        logger.info("Loaded %s with %s from %s", manifest.name, self.name, engines.directory)

    @classmethod
    def open(
        cls, manifest: ModelManifest, flavor: str, cache_dir: Path, max_batch: int
    ) -> TensorRtBackend:
        """Finds the engines for this machine and loads them.

        Args:
            manifest: of the model folder.
            flavor: `tensorrt` or `tensorrt_rtx`.
            cache_dir: folder of engine sets, or one engine set.
            max_batch: rows that one call will have at most.

        Raises:
            BackendError: when the library, the GPU or fitting engines are missing.
            ManifestError: for engine sets that are altered.
        """
        library = load_library(flavor)
        cuda = CudaPython()
        machine = this_machine(library, cuda)
        engines = find_engine_set(cache_dir, manifest, machine, max_batch)
        return cls(manifest, engines, library, cuda, machine)

    @property
    def name(self) -> str:
        """Engine, precision and GPU."""
        key, gpu = self.engines.key, self.machine.gpu_name
        return f"{key.flavor}/{key.precision} {self.machine.library_version} on {gpu}"

    @property
    def max_batch(self) -> int:
        """Rows that one call can have at most."""
        return self.engines.key.max_batch

    def run(self, graph: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Runs one graph; see `Backend.run`.

        What the next graph takes comes as a tensor on the GPU, which numpy's functions accept.

        Raises:
            BackendError: when inputs do not match the manifest, the engine fails, or `interrupt`
                was called.
        """
        if self._interrupted:
            raise BackendError(f"{graph}: interrupted")
        session = self._sessions.get(graph)
        if session is None:
            raise BackendError(f"graph {graph!r} is not loaded; loaded: {sorted(self._sessions)}")
        return session.run(inputs)

    def layer_information(self, json_format: Any) -> dict[str, str]:
        """What TensorRT's inspector says of each engine."""
        return {g: s.layer_information(json_format) for g, s in self._sessions.items()}

    def interrupt(self) -> None:
        """Refuses later runs; the one in progress ends by itself within milliseconds."""
        self._interrupted = True

    def close(self) -> None:
        """Frees the engines; afterwards `run` raises BackendError. Can be called twice."""
        for graph, session in self._sessions.items():
            self._write_kernels(graph, session.runtime_cache())
            session.close()
        self._sessions.clear()
        with self._copies:
            if self._stream:
                self._cuda.destroy_stream(self._stream)
                self._stream = 0

    def _download(self, target: np.ndarray, address: int) -> None:
        """Copies a tensor that stayed on the GPU; whoever computed it has waited for it."""
        with self._copies:
            if not self._stream:
                raise BackendError("the engine that computed this tensor has been closed")
            self._cuda.download(target, address, self._stream)

    def _read_kernels(self, graph: str) -> bytes:
        path = self.engines.directory / _KERNELS.format(graph=graph)
        return path.read_bytes() if path.is_file() else b""

    def _write_kernels(self, graph: str, kernels: bytes) -> None:
        """Keeps compiled kernels for the next start; without them that only takes longer."""
        path = self.engines.directory / _KERNELS.format(graph=graph)
        if not kernels or (path.is_file() and path.read_bytes() == kernels):
            return
        try:
            write_bytes(path, kernels)
        except OSError as error:
            logger.warning("%s cannot be written: %s", path, error)


def this_machine(library: TensorRtLibrary, cuda: CudaPython) -> Machine:
    """What engines have to fit."""
    gpu_name, compute_capability = cuda.identity()
    return Machine(library.flavor, library.version, gpu_name, compute_capability)
