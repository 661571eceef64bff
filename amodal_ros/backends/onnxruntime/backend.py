# SPDX-License-Identifier: Apache-2.0
"""Runs a model folder's graphs with ONNX Runtime, on a CPU or with the provider asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from amodal_ros.backends.base import check_tensors
from amodal_ros.backends.onnxruntime.session import (
    CPU_PROVIDER,
    Provider,
    check_providers,
    engine_errors,
    import_onnxruntime,
    open_session,
    session_options,
)
from amodal_ros.errors import BackendError
from amodal_ros.model_folder.manifest import ModelManifest

__all__ = ["CPU_PROVIDER", "OnnxRuntimeBackend", "Provider"]

logger = logging.getLogger(__name__)


class OnnxRuntimeBackend:
    """One ONNX Runtime session per graph. `run` may be called from several threads.

    Each session keeps the memory that its largest call needed, so that a frame with other objects
    than the one before allocates nothing; calls of few rows keep it small.

    Args:
        manifest: of the model folder, as `load_manifest` gives it.
        providers: ONNX Runtime's execution providers, in order of preference, each a name or a
            name with its options; each must be usable. Unless the CPU's is one of them, no
            convolution or matrix product may end on the CPU.
        intra_op_threads: threads within an operator; 0: ONNX Runtime's choice, one per core.
        graph_optimization: what ONNX Runtime does to a graph when it loads it: `none`, `basic`,
            `extended` (fusions), `all` (also the CPU's blocked layout NCHWc).

    Raises:
        InvalidInputError: for no provider at all, a negative number of threads, or an unknown
            optimisation.
        BackendError: when ONNX Runtime is missing, a provider is not available or not used, or a
            graph does not load or does not match its manifest.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        providers: Sequence[Provider] = (CPU_PROVIDER,),
        intra_op_threads: int = 0,
        graph_optimization: str = "all",
    ) -> None:
        self._ort = import_onnxruntime()
        self._provider_names = check_providers(self._ort, providers)
        options = session_options(self._ort, intra_op_threads, graph_optimization)
        self._errors = engine_errors()
        self._specs = manifest.graphs
        self._lock = threading.Lock()
        self._interrupted = False
        self._running: list[Any] = []  # the RunOptions of the runs in progress
        self._sessions: dict[str, Any] = {
            graph: open_session(self._ort, manifest.path_of(graph), spec, options, providers)
            for graph, spec in manifest.graphs.items()
        }
        logger.info("Loaded %s with %s", manifest.name, self.name)

    @property
    def name(self) -> str:
        """Engine and execution provider, as `onnxruntime/CPUExecutionProvider`."""
        return f"onnxruntime/{self._provider_names[0]}"

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one graph; see `Backend.run`.

        Raises:
            BackendError: when inputs or outputs do not match the manifest, the engine fails, or
                `interrupt` was called.
        """
        session = self._sessions.get(graph)
        if session is None:
            raise BackendError(f"graph {graph!r} is not loaded; loaded: {sorted(self._sessions)}")
        spec = self._specs[graph]
        lengths: dict[str, int] = {}
        check_tensors(f"{graph} input", spec.inputs, inputs, lengths)
        names = [output.name for output in spec.outputs]
        values = self._run_session(graph, session, names, inputs)
        outputs = dict(zip(names, values, strict=True))
        check_tensors(f"{graph} output", spec.outputs, outputs, lengths)
        return outputs

    def interrupt(self) -> None:
        """Ends the runs in progress after the operator they are at, and refuses later ones."""
        with self._lock:
            self._interrupted = True
            for options in self._running:
                options.terminate = True

    def close(self) -> None:
        """Frees the sessions; afterwards `run` raises BackendError."""
        self._sessions.clear()

    def _run_session(
        self, graph: str, session: Any, names: Sequence[str], inputs: Mapping[str, np.ndarray]
    ) -> list[np.ndarray]:
        """Runs a session so that `interrupt` can end it."""
        options = self._ort.RunOptions()
        with self._lock:
            if self._interrupted:
                raise BackendError(f"interrupted: {graph} was not run")
            self._running.append(options)
        try:
            values: list[np.ndarray] = session.run(names, dict(inputs), options)
        except self._errors as error:
            if self._interrupted:
                raise BackendError(f"interrupted: {graph} was ended") from error
            shapes = {name: value.shape for name, value in inputs.items()}
            raise BackendError(f"{graph} failed with inputs {shapes}: {error}") from error
        finally:
            with self._lock:
                self._running.remove(options)
        return values
