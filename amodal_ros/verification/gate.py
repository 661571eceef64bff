# SPDX-License-Identifier: Apache-2.0
"""The gate itself: each graph alone in the engine under test, the others in fp32; then all.

A graph's own error is so told from that of the others, in what counts: the masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from amodal_ros.backends.base import Backend
from amodal_ros.manifest import ModelManifest
from amodal_ros.predictor import AmodalPredictor
from amodal_ros.types import AmodalPrediction
from amodal_ros.verification.measures import Comparison, Limits, compare_masks
from amodal_ros.verification.reference import Reference

END_TO_END = "end to end"
AGAINST_TORCH = "end to end, torch's masks"
# Masks of random weights are noise, which flips with the last bit of a logit.
MAX_RANDOM_LOGIT_ERROR = 0.05
RANDOM_WEIGHTS = (
    "the weights are random: this proves the mechanics only, and nothing about masks of real ones"
)


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and what is asked about it.

    Attributes:
        name: for the report.
        image_rgb: (H, W, 3) uint8.
        boxes_xyxy: (N, 4) float32, original pixels, N at least 1.
        prior_masks: M_spec of each object; None: from its box.
    """

    name: str
    image_rgb: np.ndarray
    boxes_xyxy: np.ndarray
    prior_masks: Sequence[np.ndarray | None] | None = None

    @classmethod
    def of_reference(cls, reference: Reference) -> Scene:
        """The scene of a model folder's reference."""
        return cls(
            "reference", reference.image_rgb, reference.boxes_xyxy, tuple(reference.priors())
        )


@dataclass(frozen=True)
class GateRow:
    """One comparison.

    Attributes:
        scene: its name.
        part: the graph that ran in the engine under test, or `end to end`.
        comparison: of the masks with fp32's.
        logit_error: greatest difference of the decoder's logits over their greatest size; None:
            not measured.
        not_finite: outputs of the engine under test that held NaN or infinity.
    """

    scene: str
    part: str
    comparison: Comparison
    logit_error: float | None
    not_finite: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        text = f"{self.scene}, {self.part}: {self.comparison}"
        if self.logit_error is not None:
            text += f"; logits by {self.logit_error:.1e} of the greatest"
        if self.not_finite:
            text += f"; NaN or infinity in {', '.join(self.not_finite)}"
        return text


@dataclass(frozen=True, eq=False)
class GateReport:
    """What the gate found.

    Attributes:
        engine: what was under test.
        rows: the comparisons.
        random_weights: the masks mean nothing; logits are judged in their place.
        limits: what passes.
    """

    engine: str
    rows: tuple[GateRow, ...]
    random_weights: bool
    limits: Limits

    def failures(self) -> list[str]:
        """The rows that do not pass."""
        return [str(row) for row in self.rows if not self._passes(row)]

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "engine": self.engine,
            "passed": not self.failures(),
            "random_weights": self.random_weights,
            "limits": asdict(self.limits),
            "rows": [asdict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        """A line per row, and what they prove."""
        lines = [f"{'passed' if not self.failures() else 'FAILED'}: {self.engine}"]
        lines += [f"  {'' if self._passes(row) else 'FAILED '}{row}" for row in self.rows]
        return "\n".join([*lines, RANDOM_WEIGHTS] if self.random_weights else lines)

    def _passes(self, row: GateRow) -> bool:
        if row.not_finite:
            return False
        if self.random_weights:
            return row.logit_error is None or row.logit_error <= MAX_RANDOM_LOGIT_ERROR
        limits = self.limits
        return row.comparison.passes(
            limits.min_mask_iou, limits.max_iou_error, limits.min_boundary_f
        )


def run_gate(
    manifest: ModelManifest,
    candidate: Backend,
    fp32: Backend | None,
    scenes: Sequence[Scene],
    *,
    reference: Reference | None = None,
    limits: Limits | None = None,
    max_batch: int = 8,
) -> GateReport:
    """Compares an engine with fp32.

    Args:
        manifest: of the model.
        candidate: the engine under test.
        fp32: an engine that computes the same model in fp32; None: `reference` alone counts.
        scenes: what to compare on, graph by graph and end to end.
        reference: of the model folder: masks that torch computed.
        limits: what passes.
        max_batch: rows in one call.

    Raises:
        BackendError: when an engine fails.
        InvalidInputError: for a scene without objects, or unusable ones.
    """
    rows: list[GateRow] = []
    if reference is not None:
        run = _Run(manifest, candidate, None, frozenset(manifest.graphs), max_batch)
        found = run.predict(Scene.of_reference(reference))
        comparison = compare_masks(
            found, reference.amodal_masks, reference.visible_masks, reference.predicted_iou
        )
        rows.append(GateRow("reference", AGAINST_TORCH, comparison, None, run.not_finite))
    if fp32 is not None:
        for scene in scenes:
            rows += _compare_scene(manifest, candidate, fp32, scene, max_batch)
    random_weights = manifest.source.get("random_weights") is True
    return GateReport(candidate.name, tuple(rows), random_weights, limits or Limits())


def _compare_scene(
    manifest: ModelManifest, candidate: Backend, fp32: Backend, scene: Scene, max_batch: int
) -> list[GateRow]:
    """Each graph alone, then all."""
    exact = _Run(manifest, candidate, fp32, frozenset(), max_batch)
    wanted = exact.predict(scene)
    rows = []
    parts = {graph: frozenset({graph}) for graph in manifest.graphs}
    for part, graphs in {**parts, END_TO_END: frozenset(manifest.graphs)}.items():
        run = _Run(manifest, candidate, fp32, graphs, max_batch)
        found = run.predict(scene)
        comparison = compare_masks(
            found, wanted.raw_amodal_masks, wanted.visible_masks, wanted.predicted_iou
        )
        error = _logit_error(run.logits, exact.logits)
        rows.append(GateRow(scene.name, part, comparison, error, run.not_finite))
    return rows


def _logit_error(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """Greatest difference over the greatest size; infinite where something is not finite."""
    size = max(float(np.abs(logits).max()) for logits in wanted)
    errors = [float(np.abs(f - w).max()) for f, w in zip(found, wanted, strict=True)]
    error = max(errors) / size if size > 0 else max(errors)
    return error if np.isfinite(error) else float("inf")


class _Run:
    """One pass through the chain with some graphs in the engine under test."""

    def __init__(
        self,
        manifest: ModelManifest,
        candidate: Backend,
        fp32: Backend | None,
        tested: frozenset[str],
        max_batch: int,
    ) -> None:
        self._candidate, self._fp32, self._tested = candidate, fp32, tested
        self._not_finite: dict[str, None] = {}
        self.logits: list[np.ndarray] = []
        self._predictor = AmodalPredictor(manifest, self, max_batch)

    name = "gate"

    @property
    def not_finite(self) -> tuple[str, ...]:
        """Outputs of the engine under test that held NaN or infinity."""
        return tuple(self._not_finite)

    def predict(self, scene: Scene) -> AmodalPrediction:
        """All objects of a scene."""
        features = self._predictor.encode(scene.image_rgb)
        return self._predictor.predict(features, scene.boxes_xyxy, scene.prior_masks)

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a graph where it belongs; see `Backend.run`."""
        tested = graph in self._tested or self._fp32 is None
        engine = self._candidate if tested or self._fp32 is None else self._fp32
        outputs = {name: np.asarray(v) for name, v in engine.run(graph, inputs).items()}
        if tested:
            for name, values in outputs.items():
                if not np.isfinite(values).all():
                    self._not_finite[f"{graph}.{name}"] = None
        if graph == "decoder":
            self.logits.append(outputs["low_res_logits"])
        return outputs

    def interrupt(self) -> None:
        """Asks both engines to end; see `Backend.interrupt`."""
        self._candidate.interrupt()
        if self._fp32 is not None:
            self._fp32.interrupt()

    def close(self) -> None:
        """The engines belong to the caller."""
