# SPDX-License-Identifier: Apache-2.0
"""The engine that was asked for, or the reason why there is none; never another in its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime.backend import CPU_PROVIDER, OnnxRuntimeBackend, Provider
from amodal_ros.backends.tensorrt.backend import TensorRtBackend
from amodal_ros.backends.tensorrt.engine_cache import default_cache_dir
from amodal_ros.backends.tensorrt.library import FLAVORS
from amodal_ros.errors import AmodalError, InvalidInputError
from amodal_ros.model_folder.manifest import ModelManifest

BACKENDS = ("onnxruntime", *FLAVORS)


def create_backend(
    manifest: ModelManifest,
    backend: str,
    *,
    providers: Sequence[Provider] = (CPU_PROVIDER,),
    intra_op_threads: int = 0,
    max_batch: int = 8,
    cache_dir: str | Path | None = None,
) -> Backend:
    """Loads the engine of a model folder; TensorRT's must pass the precision gate, or have passed.

    Args:
        manifest: of the model folder, as `load_manifest` gives it.
        backend: one of `BACKENDS`.
        providers: with `onnxruntime`: execution providers, preferred first; each must be usable.
        intra_op_threads: with `onnxruntime`: threads within an operator; 0: one per core.
        max_batch: rows that one call of `run` will have at most.
        cache_dir: with TensorRT: folder of engine sets, or one engine set; None: `engines` in the
            model folder.

    Raises:
        InvalidInputError: for an unknown backend or an unusable option.
        BackendError: when the engine cannot be loaded as asked, or fails the gate.
        ManifestError: when engines or the reference are missing or altered.
    """
    engine = open_backend(
        manifest,
        backend,
        providers=providers,
        intra_op_threads=intra_op_threads,
        max_batch=max_batch,
        cache_dir=cache_dir,
    )
    if isinstance(engine, TensorRtBackend):
        # Here, not above: the gate runs the predictor, which is built on this module.
        from amodal_ros.verification.first_load import ensure_verified

        try:
            ensure_verified(manifest, engine)
        except AmodalError:
            engine.close()
            raise
    return engine


def open_backend(
    manifest: ModelManifest,
    backend: str,
    *,
    providers: Sequence[Provider] = (CPU_PROVIDER,),
    intra_op_threads: int = 0,
    max_batch: int = 8,
    cache_dir: str | Path | None = None,
) -> Backend:
    """Loads the engine of a model folder, verified or not; see `create_backend`."""
    if backend not in BACKENDS:
        raise InvalidInputError(f"backend: expected one of {BACKENDS}, got {backend!r}")
    if max_batch < 1:
        raise InvalidInputError(f"max_batch: expected at least 1, got {max_batch}")
    if backend == "onnxruntime":
        return OnnxRuntimeBackend(manifest, providers, intra_op_threads)
    cache = default_cache_dir(manifest) if cache_dir is None else Path(cache_dir)
    return TensorRtBackend.open(manifest, backend, cache, max_batch)
