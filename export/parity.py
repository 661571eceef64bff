# SPDX-License-Identifier: Apache-2.0
"""The gate: the graphs as written, in ONNX Runtime, against the torch model.

Each graph is fed with the same random inputs as its torch counterpart, for several numbers of
objects and points; then the reference scene goes through the whole chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from amodal_ros.backends.onnxruntime_backend import OnnxRuntimeBackend
from amodal_ros.errors import BackendError
from amodal_ros.manifest import ModelManifest
from amodal_ros.predictor import AmodalPredictor
from amodal_ros.verify import Comparison, Reference, compare
from export.torch_backend import TorchBackend

OBJECT_COUNTS = (1, 2, 5)
POINT_COUNTS = (2, 5)
# Greatest difference from torch, relative to the greatest value of the output.
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2}


@dataclass(frozen=True)
class GraphDifference:
    """How far one output of one graph is from torch, at worst over all sizes tried.

    Attributes:
        graph: Its name.
        output: The output's name.
        absolute: Greatest difference.
        relative: The same over the greatest value.
    """

    graph: str
    output: str
    absolute: float
    relative: float

    def __str__(self) -> str:
        """One line."""
        return f"{self.graph}.{self.output}: {self.absolute:.2e} ({self.relative:.1e} relative)"


@dataclass(frozen=True)
class ParityReport:
    """What was measured.

    Attributes:
        graphs: Per output.
        end_to_end: The reference scene.
    """

    graphs: tuple[GraphDifference, ...]
    end_to_end: Comparison

    def __str__(self) -> str:
        """A line per graph, then the end to end figures."""
        return "\n".join([*map(str, self.graphs), str(self.end_to_end)])

    def failures(self, tolerance: float, min_mask_iou: float, max_iou_error: float) -> list[str]:
        """List what is beyond the limits; NaN is."""
        found = [
            f"{graph} exceeds {tolerance:.0e}"
            for graph in self.graphs
            if not graph.relative <= tolerance
        ]
        if not self.end_to_end.passes(min_mask_iou, max_iou_error):
            found.append(
                f"{self.end_to_end}; expected at least {min_mask_iou}, at most {max_iou_error}"
            )
        return found


def measure_parity(
    manifest: ModelManifest, torch_backend: TorchBackend, reference: Reference, *, seed: int
) -> ParityReport:
    """Compare the graphs of a folder with the torch model.

    Args:
        manifest: Of the folder.
        torch_backend: The model.
        reference: Of the folder.
        seed: Of the random inputs.
    """
    backend = OnnxRuntimeBackend(manifest)
    try:
        worst: dict[tuple[str, str], GraphDifference] = {}
        for graph, inputs in _cases(manifest, np.random.default_rng(seed)):
            expected = torch_backend.run(graph, inputs)
            for output, value in backend.run(graph, inputs).items():
                found = _difference(graph, output, value, expected[output])
                known = worst.get((graph, output), found)
                worst[graph, output] = max(found, known, key=lambda d: d.relative)
        return ParityReport(
            tuple(worst.values()), compare(AmodalPredictor(manifest, backend), reference)
        )
    finally:
        backend.close()


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
    yield "prefix", {"image": random.standard_normal((1, 3, size, size), dtype=np.float32)}
    (features,) = (t.shape for t in manifest.graphs["suffix"].inputs if t.name == "features")
    (embedding,) = (t.shape for t in manifest.graphs["decoder"].inputs if t.name == "embeddings")
    for n in OBJECT_COUNTS:
        yield (
            "suffix",
            {
                "features": random.standard_normal([int(s) for s in features], dtype=np.float32),
                "prior_masks": (random.random((n, 1, size, size)) < 0.5).astype(np.float32),
                "adapter_gain": random.random(n, dtype=np.float32),
            },
        )
    for n in OBJECT_COUNTS:
        for points in POINT_COUNTS:
            for rows in sorted({1, n}):
                shape = [rows, *(int(s) for s in embedding[1:])]
                labels = random.integers(-1, 4, (n, points)).astype(np.float32)
                yield (
                    "decoder",
                    {
                        "embeddings": 0.2 * random.standard_normal(shape, dtype=np.float32),
                        "point_coords": size * random.random((n, points, 2), dtype=np.float32),
                        "point_labels": labels,
                    },
                )
