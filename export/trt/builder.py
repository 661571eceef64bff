# SPDX-License-Identifier: Apache-2.0
"""Builds one engine from one typed graph; TensorRT's own phases are bars on a terminal."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amodal_ros.backends.tensorrt.library import TensorRtLibrary
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.files import write_bytes
from export.graphs.files import temporary_file
from export.trt.options import Shape
from export.trt.typed_graph import TypedGraph, check_network_types

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        target: `SM89`, say, with TensorRT for RTX: the GPU to build for; None: this machine's.
        workspace_mib: limit of scratch memory; 0: none.
        timing_cache: file with kernel timings, read and written; None: none.
        show_progress: draw bars.
    """

    target: str | None = None
    workspace_mib: int = 0
    timing_cache: Path | None = None
    show_progress: bool = False


@dataclass(frozen=True, eq=False)
class BuiltEngine:
    """An engine, and what is known of it.

    Attributes:
        plan: its bytes.
        seconds: the build took, parsing included.
        cpu_seconds: that this process computed for it, on all cores: what does not depend on what
            else the machine does.
        checked_tensors: tensors whose type was checked in the network.
        low_tensors: of these, those in 16 bits.
    """

    plan: bytes = field(repr=False)
    seconds: float
    cpu_seconds: float
    checked_tensors: int
    low_tensors: int


def build_engine(
    library: TensorRtLibrary,
    name: str,
    graph: TypedGraph,
    shapes: Mapping[str, tuple[Shape, Shape, Shape]],
    options: BuildOptions,
    folder: Path,
) -> BuiltEngine:
    """Builds an engine.

    Raises:
        InvalidInputError: for a target that this library does not know.
        BackendError: when TensorRT cannot parse or build it, with TensorRT's reason, or would
            build it with other types than asked for.
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    trt, log = library.module, library.logger()
    try:
        builder = trt.Builder(log)
    except (RuntimeError, TypeError) as error:  # TypeError: pybind11 returned null
        raise BackendError(
            f"{library.flavor} {library.version} cannot build here: {reason(log, error)}"
        ) from error
    network = builder.create_network(_network_flags(library))
    _parse(trt, log, network, name, graph, folder)
    checked, low = check_network_types(trt, network, name, graph.types, library.strongly_typed)
    config = builder.create_builder_config()
    _configure(library, builder, config, shapes, options)
    # On by default, it rounds the operands of float32 products to 10 bits, as float16 has.
    config.clear_flag(trt.BuilderFlag.TF32)
    if low and not library.strongly_typed:
        config.set_flag(trt.BuilderFlag.FP16)
        config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    cache = _load_timing_cache(config, options.timing_cache)
    with progress_monitor(trt, name, options.show_progress) as monitor:
        if monitor is not None:
            config.progress_monitor = monitor
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError(f"{name}: {library.flavor} cannot build it: {reason(log)}")
    _save_timing_cache(cache, options.timing_cache)
    seconds = time.perf_counter() - start
    logger.info("%s: built in %.1f s, %.1f MB", name, seconds, plan.nbytes / 1e6)
    cpu_seconds = time.process_time() - cpu_start
    return BuiltEngine(bytes(memoryview(plan)), seconds, cpu_seconds, checked, low)


def reason(log: Any, error: Exception | None = None) -> str:
    """What TensorRT's log says of a failure."""
    return "; ".join(log.errors) or str(error or "TensorRT gives no reason")


def _network_flags(library: TensorRtLibrary) -> int:
    """Strong typing where it exists as a flag (TensorRT 11 knows nothing else)."""
    flags = library.module.NetworkDefinitionCreationFlag
    names = ["STRONGLY_TYPED"] if library.strongly_typed else ["EXPLICIT_BATCH"]
    return sum(1 << int(getattr(flags, name)) for name in names if hasattr(flags, name))


def _parse(trt: Any, log: Any, network: Any, name: str, graph: TypedGraph, folder: Path) -> None:
    """Parses the graph from a file, as graphs above 2 GB must be."""
    with temporary_file(graph.model, folder / f"{name}.onnx") as path:
        parser = trt.OnnxParser(network, log)
        parsed = parser.parse_from_file(str(path))
        errors = [_parser_error(parser.get_error(i)) for i in range(parser.num_errors)]
    if not parsed:
        raise BackendError(f"{name}: TensorRT cannot parse it: {'; '.join(errors) or reason(log)}")


def _parser_error(error: Any) -> str:
    """What and, where the parser tells, at which operator."""
    operator = error.node_operator() if hasattr(error, "node_operator") else ""
    return f"{operator}: {error.desc()}" if operator else str(error.desc())


def _configure(
    library: TensorRtLibrary,
    builder: Any,
    config: Any,
    shapes: Mapping[str, tuple[Shape, Shape, Shape]],
    options: BuildOptions,
) -> None:
    """Profile, target, memory and verbosity."""
    trt = library.module
    profile = builder.create_optimization_profile()
    for tensor, (smallest, usual, greatest) in shapes.items():
        profile.set_shape(tensor, smallest, usual, greatest)
    config.add_optimization_profile(profile)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector then has types
    if options.workspace_mib:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.target is not None:
        _set_target(trt, config, options.target)


def _set_target(trt: Any, config: Any, target: str) -> None:
    if not hasattr(trt, "ComputeCapability"):
        raise InvalidInputError(
            f"target {target}: only TensorRT for RTX builds for a GPU that is not there"
        )
    known = [name for name in trt.ComputeCapability.__members__ if name.startswith("SM")]
    if target not in known:
        raise InvalidInputError(f"target: expected one of {', '.join(known)}, got {target!r}")
    config.num_compute_capabilities = 1
    if not config.set_compute_capability(getattr(trt.ComputeCapability, target), 0):
        raise BackendError(f"TensorRT does not accept the target {target}")


def _load_timing_cache(config: Any, path: Path | None) -> Any:
    """Timings of earlier builds, in a file."""
    if path is None:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        # Written by another TensorRT or for another GPU: start afresh, it is only a cache.
        logger.warning("%s fits neither this TensorRT nor this GPU; it is replaced", path)
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _save_timing_cache(cache: Any, path: Path | None) -> None:
    if cache is not None and path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, bytes(memoryview(cache.serialize())))


@contextmanager
def progress_monitor(trt: Any, name: str, show: bool) -> Iterator[Any]:
    """A monitor for a builder's configuration; None: TensorRT has none (8.6), or not asked."""
    if not show or not hasattr(trt, "IProgressMonitor"):
        yield None
        return
    from rich.progress import Progress, TaskID

    with Progress(transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        class Monitor(trt.IProgressMonitor):
            """Called by TensorRT from threads of its own; rich is made for that."""

            def __init__(self) -> None:
                trt.IProgressMonitor.__init__(self)

            def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
                indent = "  " if parent else ""
                tasks[phase] = bars.add_task(f"{name}: {indent}{phase}", total=steps)

            def step_complete(self, phase: str, step: int) -> bool:
                bars.update(tasks[phase], completed=step + 1)
                return True  # go on

            def phase_finish(self, phase: str) -> None:
                bars.remove_task(tasks.pop(phase))

        yield Monitor()
