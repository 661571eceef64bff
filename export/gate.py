# SPDX-License-Identifier: Apache-2.0
"""The gate of an export: each graph, and the whole chain, against the torch model."""

from __future__ import annotations

from dataclasses import dataclass

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.errors import BackendError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.model_folder.memory import load_memory
from amodal_ros.modeling.two_mask_head import two_mask_head
from amodal_ros.verification.gate import compare_with_reference
from amodal_ros.verification.measures import Comparison, Limits
from amodal_ros.verification.reference import load_reference
from export.options import ExportOptions
from export.parity import GraphDifference, graph_differences
from export.source import SourceModel
from export.video_parity import measure_memory

# Greatest difference from torch, relative to the greatest value of the output.
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2}
RANDOM_WEIGHTS = (
    "the base weights are random: this proves that the graphs compute what torch does, and says "
    "nothing about masks of real weights"
)


@dataclass(frozen=True)
class ParityReport:
    """What was measured.

    Attributes:
        graphs: Per output.
        end_to_end: The reference scene.
        random_weights: Whether the base model was never trained.
    """

    graphs: tuple[GraphDifference, ...]
    end_to_end: Comparison
    random_weights: bool = False

    def __str__(self) -> str:
        """A line per output, the end to end figures, and what they prove."""
        lines = [*map(str, self.graphs), str(self.end_to_end)]
        return "\n".join([*lines, RANDOM_WEIGHTS] if self.random_weights else lines)

    def failures(self, tolerance: float, min_mask_iou: float, max_iou_error: float) -> list[str]:
        """List what is beyond the limits; NaN is."""
        found = [
            f"{graph} exceeds {tolerance:.0e}"
            for graph in self.graphs
            if not graph.relative <= tolerance
        ]
        # Both sides compute in fp32: every mask counts, not their distribution.
        limits = Limits(
            min_mean_iou=min_mask_iou,
            min_low_iou=min_mask_iou,
            min_worst_iou=min_mask_iou,
            max_iou_error=max_iou_error,
        )
        if not self.end_to_end.passes(limits):
            found.append(
                f"{self.end_to_end}; expected at least {min_mask_iou}, at most {max_iou_error}"
            )
        return found


def check_parity(
    manifest: ModelManifest, source: SourceModel, options: ExportOptions, torch_backend: Backend
) -> ParityReport:
    """Compare the graphs of a folder with the torch model.

    Args:
        manifest: Of the folder, with the reference and, of a SAM 2, the graphs of the video path.
        source: The model.
        options: What the graphs were exported with; they hold the limits.
        torch_backend: The model as an engine.

    Raises:
        BackendError: The graphs do not agree with torch; each output that does not is named.
    """
    differences = graph_differences(manifest, torch_backend, options.seed)
    video = load_memory(manifest.directory)
    if video is not None:
        head = two_mask_head(source.model.adapters)
        differences += measure_memory(manifest, video, source.model.base, head, seed=options.seed)
    report = ParityReport(tuple(differences), _end_to_end(manifest), source.random_base)
    failures = report.failures(
        TOLERANCES[options.precision], options.min_mask_iou, options.max_iou_error
    )
    if failures:
        raise BackendError("the graphs do not agree with torch: " + "; ".join(failures))
    return report


def _end_to_end(manifest: ModelManifest) -> Comparison:
    """The reference's frames through the whole chain."""
    backend = OnnxRuntimeBackend(manifest)
    try:
        predictor = AmodalPredictor(manifest, backend)
        frames = load_reference(manifest.reference_path)
        return Comparison.of([compare_with_reference(predictor, frame) for frame in frames])
    finally:
        backend.close()
