# SPDX-License-Identifier: Apache-2.0
"""From a model folder to a predictor: engine, gate, rows per call. The one place that knows all.

`auto` takes the first that runs and is true, in this order: TensorRT's engines, ONNX Runtime with
CUDA, OpenVINO, ONNX Runtime on the CPU. An engine asked for by name runs, or nothing does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime.backend import CPU_PROVIDER, OnnxRuntimeBackend, Provider
from amodal_ros.backends.onnxruntime.session import provider_name
from amodal_ros.backends.openvino.backend import OpenVinoBackend, PrecisionHint
from amodal_ros.backends.openvino.mapped_cache import usable_cache
from amodal_ros.backends.tensorrt.backend import TensorRtBackend
from amodal_ros.backends.tensorrt.engine_cache import default_cache_dir
from amodal_ros.backends.tensorrt.library import FLAVORS
from amodal_ros.errors import (
    AmodalError,
    BackendError,
    InvalidInputError,
    ManifestError,
    RefusedEngineError,
)
from amodal_ros.inference.memory_passes import check_memory
from amodal_ros.inference.predictor import DEFAULT_MAX_BATCH, AmodalPredictor
from amodal_ros.model_folder.manifest import ModelManifest, default_model_dir, load_manifest
from amodal_ros.model_folder.memory import MemoryManifest, load_memory, with_memory
from amodal_ros.model_folder.small import load_small
from amodal_ros.verification.first_load import PassNote, ensure_engines_true, ensure_true

logger = logging.getLogger(__name__)

AUTO = "auto"
OPENVINO = "openvino"
ONNXRUNTIME = "onnxruntime"
CUDA_PROVIDER = "CUDAExecutionProvider"
BACKENDS = (AUTO, OPENVINO, ONNXRUNTIME, *FLAVORS)

FP32_ON_CPU = "yes: fp32 on the CPU is what others are compared with"


@dataclass(frozen=True)
class EngineOptions:
    """Which engine runs a model folder, and how.

    Attributes:
        backend: one of `BACKENDS`.
        providers: with `onnxruntime`: execution providers, preferred first; each must be usable.
        device: with `openvino`: `CPU`, `GPU`, `NPU`.
        precision: with `openvino`: `auto`, `f32`, `bf16`, `f16`. With `auto` f32 takes the place
            of a 16-bit type whose masks are refused.
        threads: on a CPU; 0: one per core.
        max_batch: rows in one call at most; None: what suits the engine.
        cache_dir: of compiled engines. None: with TensorRT `engines` in the model folder, with
            OpenVINO a folder of the user's cache.
        verify: compare the masks with fp32's at each load, whatever the engine.
    """

    backend: str = AUTO
    providers: Sequence[Provider] = (CPU_PROVIDER,)
    device: str = "CPU"
    precision: str = PrecisionHint.AUTO.value
    threads: int = 0
    max_batch: int | None = None
    cache_dir: Path | None = None
    verify: bool = False

    def __post_init__(self) -> None:
        """Checks the values that no engine checks.

        Raises:
            InvalidInputError: naming the option and what came.
        """
        if self.backend not in BACKENDS:
            raise InvalidInputError(f"backend: expected one of {BACKENDS}, got {self.backend!r}")
        if self.max_batch is not None and self.max_batch < 1:
            raise InvalidInputError(f"max_batch: expected at least 1, got {self.max_batch}")
        PrecisionHint.parse(self.precision)

    @property
    def on_cpu(self) -> bool:
        """Whether the engine computes on the CPU: its cores then work on one graph at a time."""
        if self.backend == ONNXRUNTIME:
            return [provider_name(p) for p in self.providers][:1] == [CPU_PROVIDER]
        return self.backend == OPENVINO and self.device == "CPU"

    @property
    def rows(self) -> int:
        """Rows in one call at which the engine is fastest, unless `max_batch` says how many.

        On a CPU that is one for each thread: more rows only overflow the caches, which made a
        call of eight 20 % slower per object than one of two, and its work memory four times as
        large (see docs/performance.md). An NPU's graphs are compiled for one number of rows.
        Elsewhere large calls fill the device.
        """
        if self.max_batch is not None:
            return self.max_batch
        if self.backend == OPENVINO and self.device.startswith("NPU"):
            return 1
        return cpu_rows(self.threads) if self.on_cpu else DEFAULT_MAX_BATCH


@dataclass(frozen=True, eq=False)
class Engine:
    """An engine that is loaded.

    Attributes:
        backend: that runs the graphs.
        options: by which it was loaded; `backend` names it.
        verified: how it is known that its masks are true.
        passed_over: why `auto` did not take those before it.
    """

    backend: Backend
    options: EngineOptions
    verified: str = "yes"
    passed_over: tuple[str, ...] = ()


def cpu_rows(threads: int) -> int:
    """Rows in one call that suit a CPU; `threads` 0: one per core."""
    return max(1, min(threads or len(os.sched_getaffinity(0)), DEFAULT_MAX_BATCH))


class _Steps(TypedDict):
    """What `AmodalPredictor` does behind the model, by its arguments' names."""

    second_look: bool
    ask_twice: bool
    fine_edges: bool


def load_predictor(
    model_dir: str | Path | None = None,
    options: EngineOptions | None = None,
    *,
    second_look: bool = False,
    ask_twice: bool = True,
    fine_edges: bool = True,
    model_memory: bool = True,
    small_looks: bool = True,
) -> AmodalPredictor:
    """Loads and checks a model folder, and the engine that runs it.

    Args:
        model_dir: the folder with `manifest.json`; None: the one that comes along.
        options: which engine; None: the best one that this machine has.
        second_look: see `AmodalPredictor`.
        ask_twice: likewise.
        fine_edges: likewise.
        model_memory: load the graphs of the model's own memory too, where the folder holds them.
        small_looks: load the graphs of the model's smaller size too, likewise. TensorRT has
            engines of the full size alone.

    Raises:
        ManifestError: for a missing, truncated or altered file, or an unusable manifest.
        BackendError: when the engine cannot be loaded as asked.
        RefusedEngineError: when its masks are wrong.
        InvalidInputError: for an unusable option.
    """
    manifest = load_manifest(default_model_dir() if model_dir is None else model_dir)
    options = options or EngineOptions()
    memory = load_memory(manifest.directory) if model_memory else None
    if memory is not None:
        check_memory(manifest, memory)  # before engines are made of them
    small = load_small(manifest) if small_looks else None
    engine = load_engine(manifest, options, memory)
    with ExitStack() as opened:
        opened.callback(engine.backend.close)
        steps = _Steps(second_look=second_look, ask_twice=ask_twice, fine_edges=fine_edges)
        by_small, small_note = _load_small(small, engine.options, steps)
        if by_small is not None:
            opened.callback(by_small.close)
        notes = {
            "backend_asked_for": "; ".join([options.backend, *engine.passed_over]),
            "precision_verified": engine.verified,
            "model_memory": "no" if memory is None else f"yes: {memory.reach}",
            "small_looks": small_note,
        }
        predictor = AmodalPredictor(
            manifest,
            engine.backend,
            engine.options.rows,
            parallel=not engine.options.on_cpu,
            notes=notes,
            memory=memory,
            small=by_small,
            **steps,
        )
        opened.pop_all()  # the predictor closes them
    return predictor


def _load_small(
    small: ModelManifest | None, options: EngineOptions, steps: _Steps
) -> tuple[AmodalPredictor | None, str]:
    """The predictor of the smaller size, and what diagnostics say of it.

    Its engine is that of the full size, and passes the same gate on a reference of its own.

    Args:
        small: None: the folder has none, or none is wanted.
        options: by which the engine of the full size was loaded.
        steps: behind the model: see `AmodalPredictor`.

    Raises:
        BackendError: when it cannot be loaded in that engine.
        RefusedEngineError: when its masks are wrong.
        ManifestError: when the reference is altered.
    """
    if small is None:
        return None, "no"
    if options.backend in FLAVORS:
        logger.info("%s has no engines of %d px: all looks are full", small.name, small.image_size)
        return None, f"no: {options.backend} has engines of the full size alone"
    engine = _load_named(small, options, None)
    predictor = AmodalPredictor(
        *(small, engine.backend, engine.options.rows),
        parallel=not engine.options.on_cpu,
        **steps,
    )
    return predictor, "; ".join([f"{small.image_size} px", *engine.passed_over])


def load_engine(
    manifest: ModelManifest, options: EngineOptions, memory: MemoryManifest | None = None
) -> Engine:
    """The engine that was asked for, its masks compared with fp32's; or the reason for none.

    Raises:
        BackendError: when it cannot be loaded as asked; with `auto`, when none can.
        RefusedEngineError: when its masks are wrong.
        ManifestError: when engines or the reference are missing or altered.
        InvalidInputError: for an unusable option.
    """
    if options.backend != AUTO:
        return _load_named(manifest, options, memory)
    passed_over: list[str] = []
    for choice in auto_order(options):
        try:
            engine = _load_named(manifest, choice, memory)
        except (BackendError, ManifestError) as error:
            refused = isinstance(error, RefusedEngineError)
            logger.log(logging.WARNING if refused else logging.INFO, "backend auto: %s", error)
            passed_over.append(f"not {_label(choice)}: {str(error).splitlines()[0]}")
            continue
        logger.info("backend auto: %s runs the model", engine.backend.name)
        return replace(engine, passed_over=(*passed_over, *engine.passed_over))
    raise BackendError(f"{manifest.name}: no engine can run it: {'; '.join(passed_over)}")


def auto_order(options: EngineOptions) -> list[EngineOptions]:
    """What `auto` tries, best first."""
    tensorrt = [replace(options, backend=flavor) for flavor in FLAVORS]
    return [
        *tensorrt,
        replace(options, backend=ONNXRUNTIME, providers=(CUDA_PROVIDER,)),
        replace(options, backend=OPENVINO),
        replace(options, backend=ONNXRUNTIME, providers=(CPU_PROVIDER,)),
    ]


def _label(options: EngineOptions) -> str:
    if options.backend == ONNXRUNTIME:
        return f"{ONNXRUNTIME} with {provider_name(options.providers[0])}"
    return options.backend


def open_backend(manifest: ModelManifest, options: EngineOptions) -> Backend:
    """Loads the engine asked for by name; nobody has compared its masks.

    Raises:
        InvalidInputError: for `auto`, or an unusable option.
        BackendError: when it cannot be loaded as asked.
        ManifestError: when engines are missing or altered.
    """
    if options.backend == AUTO:
        raise InvalidInputError("backend: expected an engine by name, got 'auto'")
    if options.backend == ONNXRUNTIME:
        return OnnxRuntimeBackend(manifest, options.providers, options.threads)
    if options.backend == OPENVINO:
        cache = usable_cache(options.cache_dir)
        return OpenVinoBackend(manifest, options.device, options.precision, options.threads, cache)
    folder = options.cache_dir or default_cache_dir(manifest)
    return TensorRtBackend.open(manifest, options.backend, folder, options.rows)


def _load_named(
    manifest: ModelManifest, options: EngineOptions, memory: MemoryManifest | None
) -> Engine:
    """An engine by name, its masks compared where that is needed."""
    try:
        return _load_verified(manifest, options, memory)
    except RefusedEngineError as error:
        if options.backend != OPENVINO or options.precision != PrecisionHint.AUTO.value:
            raise
        logger.warning("%s", error)
        exact = replace(options, precision=PrecisionHint.F32.value)
        engine = _load_verified(manifest, exact, memory)
        note = f"not {_label(options)} {options.precision}: {str(error).splitlines()[0]}"
        return replace(engine, passed_over=(note,))


def _load_verified(
    manifest: ModelManifest, options: EngineOptions, memory: MemoryManifest | None
) -> Engine:
    whole = with_memory(manifest, memory)
    backend = open_backend(whole, options)
    exact = options.backend == ONNXRUNTIME and options.on_cpu
    exact = exact and manifest.compute_precision == "fp32"
    try:
        if isinstance(backend, TensorRtBackend):
            ensure_engines_true(manifest, backend, memory)
        elif options.verify or not exact:
            note = None if options.verify else _pass_note(backend, options)
            compared = ensure_true(manifest, backend, options.rows, note, memory)
            if compared and note is not None:
                # As at every later start: what the gate needed of memory is not kept.
                backend.close()
                backend = open_backend(whole, options)
    except AmodalError:
        backend.close()
        raise
    return Engine(backend, options, FP32_ON_CPU if exact and not options.verify else "yes")


def _pass_note(backend: Backend, options: EngineOptions) -> PassNote | None:
    """Where it is noted that an engine passed; None: it is compared at each load."""
    folder = usable_cache(options.cache_dir)
    if folder is None or not isinstance(backend, OpenVinoBackend):
        return None
    key = {
        "openvino": backend.version,
        "device": f"{backend.device} {backend.device_name}",
        "precision": backend.precision,
        "rows": options.rows,
    }
    return PassNote(folder, key)
