# SPDX-License-Identifier: Apache-2.0
"""Opens a graph in ONNX Runtime with exactly the execution providers that were asked for."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Union

from amodal_ros.backends.base import FoundTensor, check_graph_tensors
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.model_folder.manifest import GraphSpec

CPU_PROVIDER = "CPUExecutionProvider"
# An execution provider: its name, or its name and its options as ONNX Runtime documents them.
Provider = Union[str, tuple[str, Mapping[str, Any]]]  # noqa: UP007  (evaluated on Python 3.10)

_OPTIMIZATIONS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
# They all bring the module onnxruntime: of two, the one installed last has overwritten the other.
_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
# What nearly all the time goes to. Providers leave shapes and indices to the CPU on purpose.
_HEAVY = ("Conv", "MatMul", "Gemm", "Attention")
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
}


def import_onnxruntime() -> Any:
    """Imports ONNX Runtime, which is needed by this backend alone.

    Raises:
        BackendError: when it cannot be imported.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"onnxruntime cannot be imported ({error}); install it with: pip install onnxruntime"
        ) from error
    return onnxruntime


def engine_errors() -> tuple[type[Exception], ...]:
    """Every exception ONNX Runtime raises: its own have no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [
        value
        for value in vars(state).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    return (*own, RuntimeError, ValueError)


def provider_name(provider: Provider) -> str:
    """The name of an execution provider given with or without options."""
    return provider if isinstance(provider, str) else provider[0]


def check_providers(ort: Any, providers: Sequence[Provider]) -> list[str]:
    """Checks that every provider asked for is in this build of ONNX Runtime.

    Returns:
        Their names.

    Raises:
        InvalidInputError: for no provider at all, or something that is none.
        BackendError: naming those that are missing.
    """
    if isinstance(providers, str) or not providers:
        raise InvalidInputError(f"providers: expected a list of names, got {providers!r}")
    for provider in providers:
        pair = isinstance(provider, tuple) and len(provider) == 2
        if not isinstance(provider, str) and not (pair and isinstance(provider[1], Mapping)):
            raise InvalidInputError(
                f"providers: expected a name, or a name and its options, got {provider!r}"
            )
    names = [provider_name(provider) for provider in providers]
    available = ort.get_available_providers()
    missing = [name for name in names if name not in available]
    if missing:
        raise BackendError(
            f"execution provider {', '.join(missing)} is not available in this onnxruntime;"
            f" it has {', '.join(available)}{_installed_twice()}"
        )
    return names


def _installed_twice() -> str:
    """Says so where two distributions of ONNX Runtime overwrite each other's files."""
    found = []
    for name in _DISTRIBUTIONS:
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    if len(found) < 2:
        return ""
    return (
        f"; {' and '.join(found)} are installed over each other: pip uninstall "
        f"{' '.join(_DISTRIBUTIONS)}, then install one of them"
    )


def _what_lacks(ort: Any, provider: str) -> str:
    """Why ONNX Runtime did not take a provider that it has: the library that does not load."""
    short = provider.removesuffix("ExecutionProvider").lower()
    folder = Path(ort.__file__).parent / "capi"
    library = folder / f"libonnxruntime_providers_{short}.so"
    with suppress(OSError):  # all providers need its symbols
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), ctypes.RTLD_GLOBAL)
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return f"{library.name} does not load: {error}{_installed_twice()}"
    return f"its libraries load, so a driver or a device is missing{_installed_twice()}"


def session_options(ort: Any, intra_op_threads: int, graph_optimization: str) -> Any:
    """Options of every session.

    Raises:
        InvalidInputError: for an unknown optimisation or a negative number of threads.
    """
    if intra_op_threads < 0:
        raise InvalidInputError(f"intra_op_threads: expected >= 0, got {intra_op_threads}")
    if graph_optimization not in _OPTIMIZATIONS:
        raise InvalidInputError(
            f"graph_optimization: expected one of {', '.join(_OPTIMIZATIONS)},"
            f" got {graph_optimization!r}"
        )
    options = ort.SessionOptions()
    level = _OPTIMIZATIONS[graph_optimization]
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    # Plans of memory are made for one number of objects, which varies from frame to frame.
    options.enable_mem_pattern = False
    # Idle engine threads that spin would keep DDS and the node's own work off the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Lets `_check_assignment` see which provider got which operator (ONNX Runtime 1.24 and newer).
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def open_session(
    ort: Any, path: Path, spec: GraphSpec, options: Any, providers: Sequence[Provider]
) -> Any:
    """Opens one graph's session and checks it against the manifest.

    Raises:
        BackendError: when it does not load, does not match, or runs elsewhere than asked.
    """
    names = [provider_name(provider) for provider in providers]
    try:
        session = ort.InferenceSession(
            str(path),
            sess_options=options,
            providers=names,
            provider_options=[
                {} if isinstance(provider, str) else dict(provider[1]) for provider in providers
            ],
        )
    except engine_errors() as error:
        raise BackendError(f"{path}: onnxruntime cannot load it: {error}") from error
    # Otherwise a provider that fails in a run is silently replaced by the CPU.
    session.disable_fallback()
    used = session.get_providers()
    unused = [name for name in names if name not in used]
    if unused:
        raise BackendError(
            f"{path}: execution provider {', '.join(unused)} was asked for, but onnxruntime"
            f" uses {', '.join(used)}: {_what_lacks(ort, unused[0])}"
        )
    _check_assignment(path, session, names)
    check_graph_tensors(f"{path}: input", _tensors(session.get_inputs()), spec.inputs, vague=False)
    check_graph_tensors(
        f"{path}: output", _tensors(session.get_outputs()), spec.outputs, vague=True
    )
    return session


def _check_assignment(path: Path, session: Any, names: Sequence[str]) -> None:
    """Refuses a graph whose heavy operators run on a provider that was not asked for."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return
    elsewhere = [
        f"{node.op_type} {node.name}"
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name not in names
        for node in part.get_nodes()
        if node.op_type.endswith(_HEAVY)
    ]
    if elsewhere:
        raise BackendError(
            f"{path}: {len(elsewhere)} operators would not run on {', '.join(names)}:"
            f" {', '.join(elsewhere[:3])}; add {CPU_PROVIDER} to the providers to allow it"
        )


def _tensors(nodes: Sequence[Any]) -> list[FoundTensor]:
    """What the file says of its inputs or outputs."""
    return [
        FoundTensor(
            frozenset({node.name}),
            _DTYPES.get(node.type, node.type),
            tuple(length if isinstance(length, int) else None for length in node.shape),
        )
        for node in nodes
    ]
