# SPDX-License-Identifier: Apache-2.0
"""What suits an engine: how many objects at once, and whether two graphs beside each other."""

from __future__ import annotations

import os
from collections.abc import Sequence

from amodal_ros.backends.onnxruntime.session import CPU_PROVIDER, Provider, provider_name


def best_rows(
    backend: str, providers: Sequence[Provider], intra_op_threads: int, limit: int
) -> int:
    """Rows per call at which an engine is fastest.

    On a CPU that is one for each thread: more rows only overflow the caches, which made a call of
    eight 20 % slower per object than one of two, and its work memory four times as large (see
    docs/performance.md). Elsewhere large calls fill the device.

    Args:
        backend: as for `create_backend`.
        providers: likewise.
        intra_op_threads: likewise; 0: one per core.
        limit: the most.
    """
    if not on_cpu(backend, providers):
        return limit
    return max(1, min(intra_op_threads or len(os.sched_getaffinity(0)), limit))


def on_cpu(backend: str, providers: Sequence[Provider]) -> bool:
    """Whether the engine computes on the CPU: all its cores then work on one graph at a time.

    Args:
        backend: as for `create_backend`.
        providers: likewise.
    """
    return backend == "onnxruntime" and [provider_name(p) for p in providers][:1] == [CPU_PROVIDER]
