# SPDX-License-Identifier: Apache-2.0
"""The graphs as written, in ONNX Runtime, against the torch model.

Each graph is fed with the same random inputs as its torch counterpart, for several numbers of
objects and points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.errors import BackendError
from amodal_ros.inference.graph_runner import decoder_broadcasts
from amodal_ros.model_folder.manifest import ModelManifest

OBJECT_COUNTS = (1, 2, 5)
POINT_COUNTS = (2, 5)


@dataclass(frozen=True)
class GraphDifference:
    """How far one output of one graph is from torch, at worst over all sizes tried."""

    graph: str
    output: str
    absolute: float
    relative: float

    def __str__(self) -> str:
        return f"{self.graph}.{self.output}: {self.absolute:.2e} ({self.relative:.1e} relative)"


def graph_differences(
    manifest: ModelManifest, torch_backend: Backend, seed: int
) -> list[GraphDifference]:
    """Compare each output of each graph of a folder with that of the torch model."""
    worst: dict[tuple[str, str], GraphDifference] = {}
    with closing(OnnxRuntimeBackend(manifest)) as backend:
        for graph, inputs in _cases(manifest, np.random.default_rng(seed)):
            expected = torch_backend.run(graph, inputs)
            worst_difference(worst, graph, backend.run(graph, inputs), expected)
    return list(worst.values())


def worst_difference(
    worst: dict[tuple[str, str], GraphDifference],
    graph: str,
    found: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
) -> None:
    """Keep the greater difference of each output in ``worst``; NaN is the greatest."""

    def size(difference: GraphDifference) -> float:
        return math.inf if math.isnan(difference.relative) else difference.relative

    for output, value in found.items():
        now = _difference(graph, output, value, expected[output])
        known = worst.get((graph, output), now)
        worst[graph, output] = max(known, now, key=size)


def _difference(
    graph: str, output: str, value: np.ndarray, expected: np.ndarray
) -> GraphDifference:
    if value.shape != expected.shape:
        raise BackendError(f"{graph}.{output}: expected {expected.shape}, got {value.shape}")
    absolute = float(np.abs(value - expected).max())
    return GraphDifference(graph, output, absolute, absolute / float(np.abs(expected).max()))


def _cases(
    manifest: ModelManifest, random: np.random.Generator
) -> Iterator[tuple[str, Mapping[str, np.ndarray]]]:
    """Give inputs for each graph; embeddings and features with the spread of real ones."""
    size = manifest.image_size
    shapes = {spec.name: spec.shape for graph in manifest.graphs.values() for spec in graph.inputs}
    for n in OBJECT_COUNTS if manifest.mode == "roi" else (1,):
        yield "prefix", {"image": random.standard_normal((n, 3, size, size), dtype=np.float32)}
    for n in OBJECT_COUNTS:
        yield (
            "suffix",
            {
                "features": _normal(random, shapes["features"], n),
                "prior_masks": (random.random((n, 1, size, size)) < 0.5).astype(np.float32),
                "adapter_gain": random.random(n, dtype=np.float32),
            },
        )
    maps = {
        spec.name: spec.shape
        for spec in manifest.graphs["decoder"].inputs
        if not spec.name.startswith("point_")
    }
    shared = {1} if decoder_broadcasts(manifest) else set()
    for n in OBJECT_COUNTS:
        for points in POINT_COUNTS:
            for rows in sorted({*shared, n}):
                yield (
                    "decoder",
                    {
                        **{k: 0.2 * _normal(random, shape, rows) for k, shape in maps.items()},
                        "point_coords": size * random.random((n, points, 2), dtype=np.float32),
                        "point_labels": random.integers(-1, 4, (n, points)).astype(np.float32),
                    },
                )


def _normal(random: np.random.Generator, shape: tuple[int | str, ...], rows: int) -> np.ndarray:
    """Random values; a free length is ``rows``."""
    sizes = [rows if isinstance(length, str) else length for length in shape]
    return random.standard_normal(sizes, dtype=np.float32)
