# SPDX-License-Identifier: Apache-2.0
"""Runs a model folder's graphs with ONNX Runtime, on a CPU or with the provider asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from amodal_ros.backends.base import check_tensors
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.manifest import GraphSpec, ModelManifest, TensorSpec

logger = logging.getLogger(__name__)

CPU_PROVIDER = "CPUExecutionProvider"
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
}


class OnnxRuntimeBackend:
    """One ONNX Runtime session per graph. `run` may be called from several threads.

    Args:
        manifest: of the model folder, as `load_manifest` gives it.
        providers: ONNX Runtime's execution providers, in order of preference; each must be usable.
        intra_op_threads: threads within an operator; 0: ONNX Runtime's choice, one per core.

    Raises:
        InvalidInputError: for no provider at all or a negative number of threads.
        BackendError: when ONNX Runtime is missing, a provider is not available or not used, or a
            graph does not load or does not match its manifest.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        providers: Sequence[str] = (CPU_PROVIDER,),
        intra_op_threads: int = 0,
    ) -> None:
        if isinstance(providers, str) or not providers:
            raise InvalidInputError(f"providers: expected a list of names, got {providers!r}")
        if intra_op_threads < 0:
            raise InvalidInputError(f"intra_op_threads: expected >= 0, got {intra_op_threads}")
        ort = _import_onnxruntime()
        missing = [name for name in providers if name not in ort.get_available_providers()]
        if missing:
            raise BackendError(
                f"execution provider {', '.join(missing)} is not available in this onnxruntime;"
                f" it has {', '.join(ort.get_available_providers())}"
            )
        self._errors = _engine_errors()
        self._providers = tuple(providers)
        self._specs = manifest.graphs
        self._run_options = _shrinking_run_options(ort)
        self._sessions: dict[str, Any] = {}
        for graph in manifest.graphs:
            self._sessions[graph] = self._open(ort, manifest, graph, intra_op_threads)
        logger.info("Loaded %s with %s", manifest.name, self.name)

    @property
    def name(self) -> str:
        """Engine and execution provider, as `onnxruntime/CPUExecutionProvider`."""
        return f"onnxruntime/{self._providers[0]}"

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one graph; see `Backend.run`.

        Raises:
            BackendError: when inputs or outputs do not match the manifest, or the engine fails.
        """
        session = self._sessions.get(graph)
        if session is None:
            raise BackendError(f"graph {graph!r} is not loaded; loaded: {sorted(self._sessions)}")
        spec = self._specs[graph]
        lengths: dict[str, int] = {}
        check_tensors(f"{graph} input", spec.inputs, inputs, lengths)
        names = [output.name for output in spec.outputs]
        try:
            values = session.run(names, dict(inputs), self._run_options)
        except self._errors as error:
            shapes = {name: value.shape for name, value in inputs.items()}
            raise BackendError(f"{graph} failed with inputs {shapes}: {error}") from error
        outputs = dict(zip(names, values, strict=True))
        check_tensors(f"{graph} output", spec.outputs, outputs, lengths)
        return outputs

    def close(self) -> None:
        """Frees the sessions; afterwards `run` raises BackendError."""
        self._sessions.clear()

    def _open(self, ort: Any, manifest: ModelManifest, graph: str, threads: int) -> Any:
        """Opens one graph's session and checks it."""
        path = manifest.path_of(graph)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Plans of memory are made for one number of objects, which varies from frame to frame.
        options.enable_mem_pattern = False
        # Idle engine threads that spin would keep DDS and the node's own work off the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(
                str(path), sess_options=options, providers=list(self._providers)
            )
        except self._errors as error:
            raise BackendError(f"{path}: onnxruntime cannot load it: {error}") from error
        used = session.get_providers()
        unused = [name for name in self._providers if name not in used]
        if unused:
            raise BackendError(
                f"{path}: execution provider {', '.join(unused)} was asked for, but onnxruntime"
                f" uses {', '.join(used)}; its log says what the provider lacks"
            )
        _check_signature(str(path), session, manifest.graphs[graph])
        return session


def _import_onnxruntime() -> Any:
    """Imports ONNX Runtime, which is needed by this backend alone."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"onnxruntime cannot be imported ({error}); install it with: pip install onnxruntime"
        ) from error
    return onnxruntime


def _shrinking_run_options(ort: Any) -> Any:
    """Options with which an arena gives back what it grew by when a run ends.

    Each graph has an arena of its own, which otherwise keeps the most that any frame ever needed.
    Without an arena the peak is higher and a run takes longer.
    """
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _engine_errors() -> tuple[type[Exception], ...]:
    """Every exception ONNX Runtime raises: its own have no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [
        value
        for value in vars(state).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    return (*own, RuntimeError, ValueError)


def _check_signature(path: str, session: Any, spec: GraphSpec) -> None:
    """Checks a session's inputs and outputs against the manifest."""
    _check_nodes(f"{path}: input", session.get_inputs(), spec.inputs, vague=False)
    _check_nodes(f"{path}: output", session.get_outputs(), spec.outputs, vague=True)


def _check_nodes(
    place: str, nodes: Sequence[Any], specs: Sequence[TensorSpec], vague: bool
) -> None:
    """Checks names, types and shapes; `vague`: the graph may leave open what the manifest fixes.

    Shape inference does not always reach the outputs; `run` checks them on the real arrays.
    """
    found = {node.name: node for node in nodes}
    if sorted(found) != sorted(spec.name for spec in specs):
        raise BackendError(
            f"{place}s: the manifest says {sorted(spec.name for spec in specs)},"
            f" the file has {sorted(found)}"
        )
    for spec in specs:
        node = found[spec.name]
        dtype = _DTYPES.get(node.type, node.type)
        if dtype != spec.dtype or not _same_shape(node.shape, spec.shape, vague):
            raise BackendError(
                f"{place} {spec.name}: the manifest says {spec.dtype} {list(spec.shape)},"
                f" the file has {dtype} {node.shape}"
            )


def _same_shape(found: Sequence[Any], wanted: Sequence[int | str], vague: bool) -> bool:
    """Whether fixed lengths are equal and varying ones vary."""
    if len(found) != len(wanted):
        return False
    for have, want in zip(found, wanted, strict=True):
        varies = not isinstance(have, int)
        if varies != isinstance(want, str) and not (varies and vague):
            return False
        if not varies and have != want:
            return False
    return True
