# SPDX-License-Identifier: Apache-2.0
"""The gate of SAM 2's video path: an object is given by its box, then followed by memory alone.

The frames show the same image, so that the masks of all of them mean something; what is under test
is arithmetic, not tracking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from amodal_ros.backends.base import Backend
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.inference.graph_runner import VISIBLE_LOGITS, GraphRunner, even_slices
from amodal_ros.inference.postprocess import masks_from_logits
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.inference.prompts import (
    PADDING_LABEL,
    check_queries,
    decoder_prompts,
    prior_boxes,
    prior_tensor,
)
from amodal_ros.inference.stopwatch import Stopwatch
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.model_folder.memory import MemoryManifest
from amodal_ros.types import AmodalPrediction
from amodal_ros.verification.measures import Comparison, GateRow, compare_masks
from amodal_ros.verification.reference import Scene


class MixedEngine:
    """An engine that runs some graphs in the engine under test, and notes what comes out.

    Args:
        candidate: the engine under test.
        fp32: runs the others; None: all graphs are under test.
        tested: names of the graphs under test.
    """

    name = "gate"

    def __init__(self, candidate: Backend, fp32: Backend | None, tested: frozenset[str]) -> None:
        self._candidate, self._fp32, self._tested = candidate, fp32, tested
        self._not_finite: dict[str, None] = {}
        self.logits: list[np.ndarray] = []

    @property
    def not_finite(self) -> tuple[str, ...]:
        """Outputs of the engine under test that held NaN or infinity."""
        return tuple(self._not_finite)

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
            self.logits += [outputs[n] for n in ("low_res_logits", VISIBLE_LOGITS) if n in outputs]
        return outputs

    def interrupt(self) -> None:
        """Asks both engines to end; see `Backend.interrupt`."""
        self._candidate.interrupt()
        if self._fp32 is not None:
            self._fp32.interrupt()

    def close(self) -> None:
        """The engines belong to the caller."""


FRAMES = 3  # one with a prompt, two without
VIDEO = "video, end to end"

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Objects:
    """N objects as the base model sees them, then the same as the adapted model does.

    Attributes:
        geometry: of the image.
        maps: what the suffix computed, 2N rows each.
        coords: (2N, P, 2) float32, box and padding, input pixels.
        labels: (2N, P) float32.
    """

    geometry: ResizeGeometry
    maps: Arrays
    coords: np.ndarray
    labels: np.ndarray

    def rows(self, rows: slice) -> _Objects:
        """Some of them."""
        maps = {name: values[rows] for name, values in self.maps.items()}
        return _Objects(self.geometry, maps, self.coords[rows], self.labels[rows])


class _Recorder:
    """Keeps what the graphs of the video path were given, and what they gave."""

    def __init__(self, engine: MixedEngine) -> None:
        self._engine = engine
        self.calls: list[tuple[str, Arrays, Arrays]] = []

    def run(self, graph: str, inputs: Arrays) -> Arrays:
        outputs = self._engine.run(graph, inputs)
        self.calls.append((graph, dict(inputs), outputs))
        return outputs


def compare_video(
    manifest: ModelManifest,
    memory: MemoryManifest,
    candidate: Backend,
    fp32: Backend,
    scene: Scene,
    max_batch: int,
) -> list[GateRow]:
    """Compares each graph of the video path alone, then everything.

    Raises:
        BackendError: when an engine fails.
        InvalidInputError: for a scene without objects, or unusable ones.
    """
    exact = MixedEngine(candidate, fp32, frozenset())
    objects = _look(manifest, exact, scene, max_batch)
    recorder = _Recorder(exact)
    wanted = _follow(manifest, memory, recorder, objects, max_batch)
    rows = []
    everything = frozenset(manifest.graphs) | frozenset(memory.graphs)
    parts = {graph: frozenset({graph}) for graph in memory.graphs}
    for part, graphs in {**parts, VIDEO: everything}.items():
        engine = MixedEngine(candidate, fp32, graphs)
        given = objects if part != VIDEO else _look(manifest, engine, scene, max_batch)
        found = _follow(manifest, memory, engine, given, max_batch)
        masks = compare_masks(
            found, wanted.raw_amodal_masks, wanted.visible_masks, wanted.predicted_iou
        )
        error = None if part == VIDEO else _output_error(engine, part, recorder.calls)
        rows.append(GateRow(scene.name, part, Comparison.of([masks]), error, engine.not_finite))
    return rows


def _look(manifest: ModelManifest, engine: MixedEngine, scene: Scene, max_batch: int) -> _Objects:
    """Encodes an image for its objects, once as the base model and once adapted."""
    predictor = AmodalPredictor(manifest, engine, max_batch)
    features, geometry = predictor.encode(scene.image_rgb).encoded
    queries = check_queries(geometry.original_hw, scene.boxes_xyxy, scene.prior_masks, None)
    count = len(queries)
    geometries = [geometry] * count
    (prompts,) = decoder_prompts(queries, geometries, manifest.family)  # all are boxes
    boxes = prior_boxes(scene.boxes_xyxy, manifest.prior_expand, queries.image_hw)
    priors = prior_tensor(queries, boxes, geometries, blank_rows=count)
    runner = GraphRunner.of(manifest, engine, max_batch, Stopwatch("suffix"))
    maps = runner.suffix(features, priors, [0.0] * count + [1.0] * count)
    return _Objects(
        geometry, maps, np.tile(prompts.coords, (2, 1, 1)), np.tile(prompts.labels, (2, 1))
    )


def _follow(
    manifest: ModelManifest,
    memory: MemoryManifest,
    engine: MixedEngine | _Recorder,
    objects: _Objects,
    max_batch: int,
) -> AmodalPrediction:
    """Masks of N objects in each of the frames, one frame after another."""
    parts = [
        _follow_rows(memory, engine, objects.rows(rows))
        for rows in even_slices(len(objects.coords), max_batch)
    ]
    logits, iou = (np.concatenate(values, axis=1) for values in zip(*parts, strict=True))
    count = len(objects.coords) // 2
    base, adapted = (
        masks_from_logits(
            values.reshape(-1, *values.shape[2:]),
            [objects.geometry] * (FRAMES * count),
            manifest.mask_threshold,
        )
        for values in (logits[:, :count], logits[:, count:])
    )
    hw = objects.geometry.original_hw
    return AmodalPrediction(hw, adapted, base, iou[:, count:].ravel())


def _follow_rows(
    memory: MemoryManifest, engine: MixedEngine | _Recorder, objects: _Objects
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (FRAMES, n, 1, s, s) and predicted IoU (FRAMES, n) of n rows in one call each."""
    count = len(objects.coords)
    maps, coords, labels = dict(objects.maps), objects.coords, objects.labels
    image = maps["embeddings"]
    marks = {spec.name for spec in memory.graphs["memory_encoder"].inputs} & {"prompted"}
    memories: list[np.ndarray] = []
    pointers: list[np.ndarray] = []
    frames = []
    for frame in range(FRAMES):
        if frame > 0:
            maps["embeddings"] = engine.run(
                "memory_attention", {"embeddings": image, **_past(memory, memories, pointers)}
            )["conditioned"]
            coords = np.zeros((count, 2, 2), np.float32)
            labels = np.full((count, 2), PADDING_LABEL, np.float32)
        best = memory.wants_best_of_three(int((labels[0] != PADDING_LABEL).sum()))
        decoded = engine.run(
            "memory_decoder",
            {
                **maps,
                "point_coords": coords,
                "point_labels": labels,
                "without_memory": np.full(count, frame == 0, np.float32),
                "multimask": np.full(count, best, np.float32),
            },
        )
        encoded = engine.run(
            "memory_encoder",
            {
                "embeddings": image,
                "low_res_logits": decoded["low_res_logits"],
                "object_score": decoded["object_score"],
                **{name: np.full(count, frame == 0, np.float32) for name in marks},
            },
        )
        memories.append(encoded["memory"])
        pointers.append(decoded["object_pointer"])
        frames.append((decoded["low_res_logits"], decoded["predicted_iou"]))
    logits, iou = zip(*frames, strict=True)
    return np.stack(logits), np.stack(iou)


def _past(
    memory: MemoryManifest, memories: list[np.ndarray], pointers: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """What is remembered of all frames so far, the prompted one first."""
    ages = np.arange(len(memories), 0, -1, dtype=np.float32)
    places = np.concatenate([[memory.num_maskmem], ages[1:]]).astype(np.float32)
    rows = (len(memories[0]), 1)
    return {
        "memories": np.stack(memories, axis=1),
        "memory_ages": np.tile(places, rows),
        "object_pointers": np.stack(pointers, axis=1),
        "pointer_ages": np.tile(ages, rows),
    }


def _output_error(
    engine: MixedEngine, graph: str, calls: list[tuple[str, Arrays, Arrays]]
) -> float:
    """Greatest difference of a graph's outputs for equal inputs, over the output's size."""
    worst = 0.0
    for name, inputs, wanted in calls:
        if name == graph:
            found = engine.run(graph, inputs)
            for output, values in wanted.items():
                size = float(np.abs(values).max()) or 1.0
                error = float(np.abs(found[output] - values).max()) / size
                worst = max(worst, error if np.isfinite(error) else float("inf"))
    return worst
