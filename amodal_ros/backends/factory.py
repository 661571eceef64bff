# SPDX-License-Identifier: Apache-2.0
"""The engine that was asked for, or the reason why there is none; never another in its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime_backend import CPU_PROVIDER, OnnxRuntimeBackend
from amodal_ros.errors import InvalidInputError
from amodal_ros.manifest import ModelManifest

BACKENDS = ("onnxruntime",)


def create_backend(
    manifest: ModelManifest,
    backend: str,
    *,
    providers: Sequence[str] = (CPU_PROVIDER,),
    intra_op_threads: int = 0,
    max_batch: int = 8,
    cache_dir: str | Path | None = None,
) -> Backend:
    """Loads the engine of a model folder.

    Args:
        manifest: of the model folder, as `load_manifest` gives it.
        backend: one of `BACKENDS`.
        providers: with `onnxruntime`: execution providers, preferred first; each must be usable.
        intra_op_threads: with `onnxruntime`: threads within an operator; 0: one per core.
        max_batch: rows that one call of `run` will have at most.
        cache_dir: where built engines lie; None: `engines` in the model folder.

    Raises:
        InvalidInputError: for an unknown backend or an unusable option.
        BackendError: when the engine cannot be loaded as asked.
    """
    if backend not in BACKENDS:
        raise InvalidInputError(f"backend: expected one of {BACKENDS}, got {backend!r}")
    if max_batch < 1:
        raise InvalidInputError(f"max_batch: expected at least 1, got {max_batch}")
    return OnnxRuntimeBackend(manifest, providers, intra_op_threads)
