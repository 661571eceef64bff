# SPDX-License-Identifier: Apache-2.0
"""Runs a model folder's graphs with OpenVINO on a CPU, an Intel GPU or an NPU."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.backends.base import check_tensors
from amodal_ros.backends.openvino.compiling import (
    CompiledGraph,
    Compiler,
    PrecisionHint,
    import_openvino,
)
from amodal_ros.backends.openvino.mapped_cache import forget_pages
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.model_folder.manifest import ModelManifest, TensorSpec

__all__ = ["OpenVinoBackend", "PrecisionHint"]

logger = logging.getLogger(__name__)


class OpenVinoBackend:
    """One compiled graph each. `run` may be called from several threads.

    Args:
        manifest: of the model folder, as `load_manifest` gives it.
        device: as OpenVINO names it: `CPU`, `GPU`, `GPU.1`, `NPU`.
        precision: what the device computes in. `auto`: OpenVINO's choice, which is bf16 or f16
            where the device has instructions for it, else f32.
        threads: of the CPU; 0: OpenVINO's choice, one per core.
        cache_dir: where compiled graphs are kept for the next start; None: nowhere.

    Raises:
        InvalidInputError: for an unknown precision or a negative number of threads.
        BackendError: when OpenVINO or the device is missing, a graph does not compile or does not
            match its manifest, or the device would compute in another precision than asked for.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        device: str = "CPU",
        precision: str = PrecisionHint.AUTO,
        threads: int = 0,
        cache_dir: Path | None = None,
    ) -> None:
        if threads < 0:
            raise InvalidInputError(f"threads: expected >= 0, got {threads}")
        compiler = Compiler(
            import_openvino(), device, PrecisionHint.parse(precision), threads, cache_dir
        )
        self._specs = manifest.graphs
        self._cache_dir = cache_dir
        self._runs = Counter[str]()
        self._lock = threading.Lock()
        self._interrupted = False
        self._running: list[Any] = []  # the requests in progress
        self._graphs: dict[str, CompiledGraph] = {
            graph: compiler.compile(manifest.path_of(graph), spec)
            for graph, spec in manifest.graphs.items()
        }
        self._forget_pages()
        self.device, self.device_name, self.version = (
            device,
            compiler.device_name,
            compiler.version,
        )
        self.precision = "+".join(
            dict.fromkeys(graph.precision for graph in self._graphs.values())
        )
        logger.info("Loaded %s with %s", manifest.name, self.name)

    @property
    def name(self) -> str:
        """Engine, device and precision, as `openvino/CPU bf16`."""
        return f"openvino/{self.device} {self.precision}"

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one graph; see `Backend.run`.

        Raises:
            BackendError: when inputs or outputs do not match the manifest, the engine fails, or
                `interrupt` was called.
        """
        compiled = self._graphs.get(graph)
        if compiled is None:
            raise BackendError(f"graph {graph!r} is not loaded; loaded: {sorted(self._graphs)}")
        spec = self._specs[graph]
        lengths: dict[str, int] = {}
        check_tensors(f"{graph} input", spec.inputs, inputs, lengths)
        places = _places(spec.outputs, lengths)
        outputs = self._run_request(graph, compiled, places, inputs)
        check_tensors(f"{graph} output", spec.outputs, outputs, lengths)
        self._runs[graph] += 1
        if self._runs[graph].bit_count() == 1:  # in the 1st, 2nd, 4th ... some are packed still
            self._forget_pages()
        return outputs

    def interrupt(self) -> None:
        """Cancels the runs in progress, which end after the operator they are at."""
        with self._lock:
            self._interrupted = True
            for request in self._running:
                request.cancel()

    def close(self) -> None:
        """Frees the graphs; afterwards `run` raises BackendError."""
        self._graphs.clear()

    def _forget_pages(self) -> None:
        if self._cache_dir is not None:
            forget_pages(self._cache_dir)

    def _run_request(
        self,
        graph: str,
        compiled: CompiledGraph,
        places: Mapping[str, np.ndarray | None],
        inputs: Mapping[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Runs an idle request of a graph so that `interrupt` can end it.

        Outputs are written into `places`: they are several megabytes, and need not be copied. Of
        one that has no place, or another shape, a copy is returned.
        """
        try:
            known = {name: place for name, place in places.items() if place is not None}
            with compiled.request(inputs, known) as request:
                # Started under the lock: one that begins later would not be cancelled.
                with self._lock:
                    if self._interrupted:
                        raise BackendError(f"interrupted: {graph} was not run")
                    request.start_async()
                    self._running.append(request)
                try:
                    request.wait()
                finally:
                    with self._lock:
                        self._running.remove(request)
                given = {name: request.get_tensor(name).data for name in places}
                return {name: _kept(values, places[name]) for name, values in given.items()}
        except BackendError:
            raise
        except RuntimeError as error:
            if self._interrupted:
                raise BackendError(f"interrupted: {graph} was ended") from error
            shapes = {name: value.shape for name, value in inputs.items()}
            raise BackendError(f"{graph} failed with inputs {shapes}: {error}") from error


def _places(
    specs: Sequence[TensorSpec], lengths: Mapping[str, int]
) -> dict[str, np.ndarray | None]:
    """A new array for each output; None where the inputs do not tell a length of it."""
    places: dict[str, np.ndarray | None] = {}
    for spec in specs:
        shape = [lengths.get(side) if isinstance(side, str) else side for side in spec.shape]
        known = [side for side in shape if side is not None]
        places[spec.name] = np.empty(known, spec.dtype) if len(known) == len(shape) else None
    return places


def _kept(values: np.ndarray, place: np.ndarray | None) -> np.ndarray:
    """What an engine gave, where no later run writes: in its place, or else copied."""
    if place is None or place.shape != values.shape or place.ctypes.data != values.ctypes.data:
        return np.array(values)
    return place
