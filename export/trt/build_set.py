# SPDX-License-Identifier: Apache-2.0
"""A model folder's engines: planned, proved, built, proved again where they run, then written."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from amodal_ros.backends.tensorrt.backend import TensorRtBackend, this_machine
from amodal_ros.backends.tensorrt.cuda import CudaPython
from amodal_ros.backends.tensorrt.engine_cache import (
    UNVERIFIED,
    EngineKey,
    EngineSet,
    default_cache_dir,
    load_engine_set,
)
from amodal_ros.backends.tensorrt.library import TensorRtLibrary, load_library
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.files import file_sha256, replace_folder, work_folder
from amodal_ros.model_folder.manifest import FileSpec, ModelManifest, load_manifest
from amodal_ros.model_folder.memory import MemoryManifest, load_memory, with_memory
from amodal_ros.verification.first_load import verify_engines
from amodal_ros.verification.gate import gate_on_cpu
from amodal_ros.verification.measures import GateReport
from export.trt.builder import BuildOptions, BuiltEngine, build_engine
from export.trt.graph_reading import ReadGraph, read_graph
from export.trt.options import EngineOptions, engine_key, profile_shapes
from export.trt.precision_plan import PrecisionPlan, plan_precision
from export.trt.rounded_backend import RoundedBackend
from export.trt.typed_graph import TypedGraph, check_engine_layers, typed_graph

logger = logging.getLogger(__name__)

_AHEAD = (
    "to build ahead of time for the GPU of another machine: pip install tensorrt-rtx-cu12, then "
    "python export/to_trt.py --flavor tensorrt_rtx --target SM89"
)
Plans = Mapping[str, tuple[ReadGraph, PrecisionPlan]]


def build_engine_set(options: EngineOptions) -> EngineSet:
    """Builds a model folder's engines; the set appears complete, or not at all.

    A set that is there already, for the same model, GPU, library and options, is kept.

    Raises:
        ManifestError: for a model folder that is incomplete or altered.
        InvalidInputError: for options that do not go together.
        BackendError: when TensorRT is missing or cannot build, or the gate fails.
    """
    manifest = load_manifest(options.model)
    memory = load_memory(options.model)
    whole = with_memory(manifest, memory)
    library = _library(options)
    if options.precision == "bf16" and not library.strongly_typed:
        raise InvalidInputError(f"precision bf16: TensorRT {library.version} has fp16 and fp32")
    cuda = None if options.target is not None else _gpu_here()
    machine = None if cuda is None else this_machine(library, cuda)
    key = engine_key(whole, library, options, machine)
    parent = default_cache_dir(manifest) if options.out is None else options.out
    final = parent / key.folder_name()
    if final.is_dir() and not options.force:
        logger.info("%s: up to date (--force builds it again)", final)
        return load_engine_set(final)
    with work_folder(parent, ".build-") as temporary:
        work, folder = temporary / "work", temporary / "set"
        work.mkdir()
        folder.mkdir()
        plans = plan_graphs(whole, options.precision)
        rounding = check_rounding(manifest, memory, plans, options, work)
        built, graphs = _build_all(whole, library, plans, options, work)
        engines = _write(folder, key, built, rounding)
        if cuda is not None and machine is not None:
            backend = TensorRtBackend(whole, engines, library, cuda, machine)
            _check_here(manifest, memory, backend, library, graphs, options)
        else:
            logger.info("%s", UNVERIFIED)
        replace_folder(folder, final)
    return load_engine_set(final)


def _library(options: EngineOptions) -> TensorRtLibrary:
    """The TensorRT that builds.

    Raises:
        BackendError: when it is missing or too old.
    """
    try:
        return load_library(options.flavor)
    except BackendError as error:
        raise BackendError(
            f"{error}; {_AHEAD}" if options.target is None else str(error)
        ) from error


def _gpu_here() -> CudaPython:
    """This machine's GPU.

    Raises:
        BackendError: when there is none that can be used.
    """
    try:
        return CudaPython()
    except BackendError as error:
        raise BackendError(f"{error}; {_AHEAD}") from error


def plan_graphs(manifest: ModelManifest, precision: str) -> Plans:
    """Reads a manifest's graphs and decides where they compute in 16 bits."""
    plans = {}
    for name in manifest.graphs:
        graph = read_graph(manifest.path_of(name), name)
        plans[name] = graph, plan_precision(graph, precision)
    return plans


def check_rounding(
    manifest: ModelManifest,
    memory: MemoryManifest | None,
    plans: Plans,
    options: EngineOptions,
    folder: Path,
) -> GateReport | None:
    """Runs the gate on the graphs' rounding, before minutes go into engines; None: fp32.

    Raises:
        BackendError: when the masks differ too much from fp32's.
    """
    if options.precision == "fp32":
        return None
    with closing(RoundedBackend(with_memory(manifest, memory), plans, folder)) as candidate:
        report = gate_on_cpu(
            manifest, candidate, options.scenes, limits=options.gate, memory=memory
        )
    if report.failures():
        raise BackendError(f"no engine is built, the graphs fail the precision gate:\n{report}")
    logger.info("%s", report)
    return report


def _build_all(
    manifest: ModelManifest,
    library: TensorRtLibrary,
    plans: Plans,
    options: EngineOptions,
    folder: Path,
) -> tuple[dict[str, BuiltEngine], dict[str, TypedGraph]]:
    """Builds graph by graph."""
    timing_cache = options.timing_cache
    if timing_cache is None and library.flavor == "tensorrt":
        timing_cache = folder.parent.parent / "timing.cache"
    build = BuildOptions(
        target=options.target,
        workspace_mib=options.workspace_mib,
        # TensorRT for RTX times kernels where they run.
        timing_cache=timing_cache if library.flavor == "tensorrt" else None,
        show_progress=options.show_progress,
    )
    built, graphs = {}, {}
    for name, (graph, plan) in plans.items():
        graphs[name] = typed_graph(graph, plan)
        shapes = profile_shapes(manifest.graphs[name], options.limits)
        built[name] = build_engine(library, name, graphs[name], shapes, build, folder)
    return built, graphs


def _write(
    folder: Path, key: EngineKey, built: Mapping[str, BuiltEngine], rounding: GateReport | None
) -> EngineSet:
    """Writes engines and their description."""
    files: dict[str, FileSpec] = {}
    for name, engine in built.items():
        path = folder / f"{name}.engine"
        path.write_bytes(engine.plan)
        files[name] = FileSpec(path.name, file_sha256(path), len(engine.plan))
    build: dict[str, Any] = {
        "seconds": {name: round(engine.seconds, 2) for name, engine in built.items()},
        "checked_tensors": {name: engine.checked_tensors for name, engine in built.items()},
        "tensors_in_16_bits": {name: engine.low_tensors for name, engine in built.items()},
        "built_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rounding": None if rounding is None else rounding.to_json(),
    }
    unverified: dict[str, Any] = {"status": UNVERIFIED, "machine": None, "report": {}}
    engines = EngineSet(folder, key, files, unverified, build)
    engines.save()
    return engines


def _check_here(
    manifest: ModelManifest,
    memory: MemoryManifest | None,
    backend: TensorRtBackend,
    library: TensorRtLibrary,
    graphs: Mapping[str, TypedGraph],
    options: EngineOptions,
) -> None:
    """Compares loaded engines' types and runs the gate; a pass is written to the set.

    Raises:
        BackendError: when a type is another or the gate fails.
    """
    try:
        json_format = library.module.LayerInformationFormat.JSON
        for name, information in backend.layer_information(json_format).items():
            seen = check_engine_layers(information, name, graphs[name].types)
            # None where all are fused, or where this TensorRT's inspector writes otherwise: then
            # the check of the network stands alone.
            logger.log(
                logging.INFO if seen else logging.WARNING,
                "%s: %d tensors of the engine have the type asked for",
                name,
                seen,
            )
        report = verify_engines(manifest, backend, options.scenes, options.gate, memory)
    finally:
        backend.close()
    if report.failures():
        raise BackendError(f"the engines fail the precision gate, none is written:\n{report}")
    logger.info("%s", report)


def summary(engines: EngineSet) -> str:
    """One line about a set."""
    size = sum(spec.bytes for spec in engines.files.values()) / 1e6
    return f"{engines.directory}: {size:.1f} MB, {engines.verification['status']}"
