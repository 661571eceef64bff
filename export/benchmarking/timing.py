# SPDX-License-Identifier: Apache-2.0
"""Time side by side: every round runs every contestant once; and how fast the machine could be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from amodal_ros.backends.onnxruntime.session import import_onnxruntime, session_options
from export.benchmarking.contestants import Entry

Samples = dict[str, list[float]]


def time_side_by_side(
    functions: Mapping[str, Callable[[], object]], warm_up: int, repeats: int
) -> Samples:
    """Milliseconds of each function in each of `repeats` rounds.

    Each round begins with another function, so that none always runs after the same one.
    """
    names = list(functions)
    samples: Samples = {name: [] for name in names}
    for round_number in range(warm_up + repeats):
        first = round_number % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            functions[name]()
            spent = (time.perf_counter() - start) * 1e3
            if round_number >= warm_up:
                samples[name].append(spent)
    return samples


def ratios(samples: Sequence[float], others: Sequence[float]) -> list[float]:
    """The ratio of two contestants in each round."""
    return [one / other for one, other in zip(samples, others, strict=True)]


_SIDE = 1536
_REPEATS = 12


def gemm_gflops(entry: Entry) -> float:
    """GFLOP/s of ONNX Runtime's float32 matrix product of two 1536 x 1536 matrices, at best."""
    ort = import_onnxruntime()
    session = ort.InferenceSession(
        _gemm_model(),
        sess_options=session_options(ort, entry.threads, "all"),
        providers=[entry.provider],
    )
    matrix = np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        session.run(None, {"a": matrix, "b": matrix})
        times.append(time.perf_counter() - start)
    return 2 * _SIDE**3 / min(times) / 1e9


def _gemm_model() -> Any:
    from onnx import TensorProto, helper

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [_SIDE, _SIDE])

    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "gemm", [value("a"), value("b")], [value("c")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def floor_ms(
    flops: dict[str, float], mode: str, objects: int, gflops: float, *, one_pass: bool
) -> dict[str, float]:
    """Milliseconds that the counted operations of N objects take at the measured rate.

    Args:
        flops: `prefix_gflop`, `suffix_gflop`, `decoder_gflop`.
        mode: with `full` the prefix and the unadapted suffix run once, with `roi` once per object.
        objects: N.
        gflops: the rate.
        one_pass: the adapted pass gives the visible mask too: no unadapted suffix, one decoding.
    """
    images = objects if mode == "roi" else 1
    unadapted = 0 if one_pass else images
    decodings = objects if one_pass else 2 * objects
    counts = {"prefix": images, "suffix": unadapted + objects, "decoder": decodings}
    return {
        step: round(count * flops[f"{step}_gflop"] / gflops * 1e3, 2)
        for step, count in counts.items()
    }
