# SPDX-License-Identifier: Apache-2.0
"""The gate itself: each graph alone in the engine under test, the others in fp32; then all.

A graph's own error is so told from that of the others, in what counts: the masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.model_folder.memory import MemoryManifest, with_memory
from amodal_ros.types import AmodalPrediction
from amodal_ros.verification.measures import (
    AGAINST_TORCH,
    END_TO_END,
    Comparison,
    GateReport,
    GateRow,
    Limits,
    MaskErrors,
    compare_masks,
)
from amodal_ros.verification.reference import Reference, ReferenceFrame, Scene, load_reference
from amodal_ros.verification.video_gate import MixedEngine, compare_video


def run_gate(
    manifest: ModelManifest,
    candidate: Backend,
    fp32: Backend | None,
    scenes: Sequence[Scene],
    *,
    reference: Reference | None = None,
    limits: Limits | None = None,
    memory: MemoryManifest | None = None,
    max_batch: int = 8,
) -> GateReport:
    """Compares an engine with fp32.

    Args:
        manifest: of the model.
        candidate: the engine under test.
        fp32: an engine that computes the same model in fp32; None: `reference` alone counts.
        scenes: what to compare on with `fp32`, graph by graph and end to end, beside the
            reference.
        reference: of the model folder: masks that torch computed, and the truth. Its objects are
            repeated until they fill a call, since an engine may be wrong in some of its rows.
            Its frames together are compared with `fp32` as well; the video path on the first.
        limits: what passes.
        memory: of a SAM 2 whose video path is under test as well: both engines have its graphs.
        max_batch: rows in one call.

    Raises:
        BackendError: when an engine fails.
        InvalidInputError: for a scene without objects, or unusable ones.
    """
    rows: list[GateRow] = []
    if reference is not None:
        engine = MixedEngine(candidate, None, frozenset(manifest.graphs))
        errors = [
            compare_with_reference(AmodalPredictor(manifest, engine, max_batch), frame)
            for frame in (frame.filled(max_batch) for frame in reference)
        ]
        comparison = Comparison.of(errors)
        rows.append(GateRow("reference", AGAINST_TORCH, comparison, None, engine.not_finite))
    if fp32 is not None:
        # An engine may be wrong in one frame and right in another, so the frames count as one.
        together = [[scene] for scene in scenes]
        if reference is not None:
            together.insert(0, [Scene.of_reference(frame) for frame in reference])
        for group in together:
            rows += _compare_scenes(manifest, candidate, fp32, group, max_batch)
            if memory is not None:
                rows += compare_video(manifest, memory, candidate, fp32, group[0], max_batch)
    random_weights = manifest.source.get("random_weights") is True
    return GateReport(candidate.name, tuple(rows), random_weights, limits or Limits())


def gate_on_cpu(
    manifest: ModelManifest,
    candidate: Backend,
    scenes: Sequence[Scene] = (),
    *,
    limits: Limits | None = None,
    memory: MemoryManifest | None = None,
    max_batch: int = 8,
) -> GateReport:
    """Compares an engine with the same graphs in ONNX Runtime on the CPU; see `run_gate`.

    Args:
        manifest: of the model folder, whose reference counts too.
        candidate: the engine under test.
        scenes: to compare on, beside the reference.
        limits: what passes.
        memory: of a SAM 2 whose video path is under test as well.
        max_batch: rows in one call.

    Raises:
        BackendError: when an engine fails.
        ManifestError: when the reference cannot be read.
    """
    reference = load_reference(manifest.reference_path)
    with closing(OnnxRuntimeBackend(with_memory(manifest, memory))) as fp32:
        return run_gate(
            *(manifest, candidate, fp32, scenes),
            reference=reference,
            limits=limits,
            memory=memory,
            max_batch=max_batch,
        )


def compare_with_reference(predictor: AmodalPredictor, frame: ReferenceFrame) -> MaskErrors:
    """Runs a reference frame's inputs through a predictor and compares the outcome."""
    features = predictor.encode(frame.image_rgb)
    return compare_masks(
        predictor.predict(features, frame.boxes_xyxy, frame.priors()),
        *(frame.amodal_masks, frame.visible_masks, frame.predicted_iou),
        *(frame.true_amodal, frame.true_visible),
    )


def _compare_scenes(
    manifest: ModelManifest,
    candidate: Backend,
    fp32: Backend,
    scenes: Sequence[Scene],
    max_batch: int,
) -> list[GateRow]:
    """Each graph alone, then all: the masks of all scenes, which have one name, in one row."""
    exact = [MixedEngine(candidate, fp32, frozenset()) for _ in scenes]
    wanted = [_predict(manifest, e, s, max_batch) for e, s in zip(exact, scenes, strict=True)]
    rows = []
    parts = {graph: frozenset({graph}) for graph in manifest.graphs}
    for part, graphs in {**parts, END_TO_END: frozenset(manifest.graphs)}.items():
        errors, logit_errors = [], []
        not_finite: set[str] = set()
        for scene, prediction, engine in zip(scenes, wanted, exact, strict=True):
            mixed = MixedEngine(candidate, fp32, graphs)
            found = _predict(manifest, mixed, scene, max_batch)
            errors.append(
                compare_masks(
                    found,
                    *(prediction.raw_amodal_masks, prediction.visible_masks),
                    prediction.predicted_iou,
                    *(scene.true_amodal, scene.true_visible),
                )
            )
            logit_errors.append(_logit_error(mixed.logits, engine.logits))
            not_finite.update(mixed.not_finite)
        comparison = Comparison.of(errors)
        bad = tuple(sorted(not_finite))
        rows.append(GateRow(scenes[0].name, part, comparison, max(logit_errors), bad))
    return rows


def _predict(
    manifest: ModelManifest, engine: MixedEngine, scene: Scene, max_batch: int
) -> AmodalPrediction:
    """All objects of a scene."""
    predictor = AmodalPredictor(manifest, engine, max_batch)
    return predictor.predict(
        predictor.encode(scene.image_rgb), scene.boxes_xyxy, scene.prior_masks
    )


def _logit_error(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """Greatest difference over the greatest size; infinite where something is not finite."""
    size = max(float(np.abs(logits).max()) for logits in wanted)
    errors = [float(np.abs(f - w).max()) for f, w in zip(found, wanted, strict=True)]
    error = max(errors) / size if size > 0 else max(errors)
    return error if np.isfinite(error) else float("inf")
