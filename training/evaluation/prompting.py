# SPDX-License-Identifier: Apache-2.0
"""What the model is asked about the objects of an image, with or without tracks."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.tracking.tracker import AmodalTracker, TrackerConfig
from amodal_ros.types import AmodalPrediction, Detections, PointPrompt
from training.datasets.sample import AmodalSample

PromptKind = Literal["visible_box", "amodal_box", "points"]
POINTS_PER_OBJECT = 2  # inside the visible region (paper A.2.3)
_FRAME_S = 0.1  # only order matters: tracks never end during an evaluation


@dataclass(frozen=True, eq=False)
class ImageAnswers:
    """What came back for the objects of an image.

    Attributes:
        raw_amodal_masks: (N, H, W) bool; empty where an object could not be prompted.
        visible_masks: (N, H, W) bool, likewise.
        predicted_iou: (N,) float32, 0 likewise.
        prompted: (N,) bool.
    """

    raw_amodal_masks: NDArray[np.bool_]
    visible_masks: NDArray[np.bool_]
    predicted_iou: NDArray[np.float32]
    prompted: NDArray[np.bool_]


def prompt_box(sample: AmodalSample, kind: PromptKind) -> NDArray[np.float32] | None:
    """The box of an object, (4,) float32; None where nothing of it is visible but should be."""
    return sample.amodal_box_xyxy if kind == "amodal_box" else sample.visible_box_xyxy


def prompt_points(sample: AmodalSample, seed: int) -> PointPrompt:
    """Two pixels of the visible mask, drawn by seed and instance alone."""
    rng = np.random.default_rng([seed, zlib.crc32(str(sample.instance_id).encode())])
    rows, columns = np.nonzero(sample.visible_mask)
    chosen = rng.choice(rows.size, size=min(POINTS_PER_OBJECT, rows.size), replace=False)
    chosen = np.resize(chosen, POINTS_PER_OBJECT)
    points = np.stack([columns[chosen], rows[chosen]], axis=1) + 0.5
    return PointPrompt.from_points(points.astype(np.float32))


class Prompter:
    """Asks a segmenter about the objects of one image after another.

    Without tracks, and for images that are no video frames, M_spec is the expanded box. With
    tracks, each video is followed by the node's own tracker, the objects' identities given: M_spec
    is the dilated previous amodal mask, and a fully hidden object is prompted with its box.
    """

    def __init__(
        self, predictor: AmodalPredictor, kind: PromptKind, track: bool, seed: int
    ) -> None:
        self._predictor = predictor
        self._kind = kind
        self._track = track
        self._seed = seed
        self._video: Any = None
        self._tracker = AmodalTracker()

    def answer(
        self, image_rgb: NDArray[np.uint8], samples: Sequence[AmodalSample]
    ) -> ImageAnswers:
        """Predict all objects of an image; frames of a video must come in order."""
        features = self._predictor.encode(image_rgb)
        video = samples[0].video_id
        followed = self._track and video is not None
        if followed and all(sample.track_id is not None for sample in samples):
            return self._answer_tracked(features, samples, video)
        return self._answer_alone(features, samples)

    def _answer_alone(self, features: Any, samples: Sequence[AmodalSample]) -> ImageAnswers:
        rows = [k for k, s in enumerate(samples) if prompt_box(s, self._kind) is not None]
        chosen = [samples[k] for k in rows]
        boxes = [prompt_box(sample, self._kind) for sample in chosen]
        prediction = self._predict(features, chosen, np.array(boxes), [None] * len(rows))
        return _scatter(samples, rows, prediction)

    def _answer_tracked(
        self, features: Any, samples: Sequence[AmodalSample], video: Any
    ) -> ImageAnswers:
        if video != self._video:
            self._video = video
            limit = TrackerConfig(max_coast=-1.0, max_objects=10_000)
            self._tracker = AmodalTracker(limit)
        names = [str(sample.track_id) for sample in samples]
        seen = [k for k, s in enumerate(samples) if prompt_box(s, self._kind) is not None]
        detections = Detections.from_boxes(
            [prompt_box(samples[k], self._kind) for k in seen],
            detection_ids=[names[k] for k in seen],
        )
        plan = self._tracker.plan(
            detections, float(samples[0].frame or 0) * _FRAME_S, samples[0].image.hw
        )
        priors = [None if one is None else one.full() for one in plan.prior_masks]
        row_of = {name: k for k, name in enumerate(names)}
        targets = [row_of.get(identity, -1) for identity in plan.identities]
        with_points = [r for r, k in enumerate(targets) if self._kind == "points" and k in seen]
        with_boxes = [r for r in range(len(targets)) if r not in with_points]
        parts = [
            (
                rows,
                self._predict(
                    features,
                    [samples[targets[r]] for r in rows] if rows is with_points else None,
                    plan.boxes_xyxy[rows],
                    [priors[r] for r in rows],
                ),
            )
            for rows in (with_points, with_boxes)
            if rows
        ]
        prediction = _ordered(parts, samples[0].image.hw)
        self._tracker.update(plan, prediction)
        kept = [r for r, k in enumerate(targets) if k >= 0]
        return _scatter(samples, [targets[r] for r in kept], _select(prediction, kept))

    def _predict(
        self,
        features: Any,
        chosen: Sequence[AmodalSample] | None,
        boxes: NDArray[np.float32],
        priors: Sequence[NDArray[np.bool_] | None],
    ) -> AmodalPrediction:
        """With points where `chosen` says whose and that is asked for, else with boxes."""
        if self._kind == "points" and chosen is not None:
            points = [prompt_points(sample, self._seed) for sample in chosen]
            return self._predictor.predict(features, None, priors, points=points)
        boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
        return self._predictor.predict(features, boxes, priors)


def _scatter(
    samples: Sequence[AmodalSample], rows: Sequence[int], prediction: AmodalPrediction
) -> ImageAnswers:
    """Put the answers in the samples' places."""
    shape = (len(samples), *samples[0].image.hw)
    answers = ImageAnswers(
        np.zeros(shape, dtype=bool),
        np.zeros(shape, dtype=bool),
        np.zeros(len(samples), dtype=np.float32),
        np.zeros(len(samples), dtype=bool),
    )
    for source, row in enumerate(rows):
        answers.raw_amodal_masks[row] = prediction.raw_amodal_masks[source]
        answers.visible_masks[row] = prediction.visible_masks[source]
        answers.predicted_iou[row] = prediction.predicted_iou[source]
        answers.prompted[row] = True
    return answers


def _select(prediction: AmodalPrediction, rows: Sequence[int]) -> AmodalPrediction:
    index = np.asarray(rows, dtype=np.intp)
    return AmodalPrediction.from_masks(
        prediction.raw_amodal_masks[index],
        prediction.visible_masks[index],
        prediction.predicted_iou[index],
    )


def _ordered(
    parts: Sequence[tuple[Sequence[int], AmodalPrediction]], hw: tuple[int, int]
) -> AmodalPrediction:
    """Join predictions of parts of the rows, in the rows' order."""
    if not parts:
        return AmodalPrediction.empty(hw)
    order = np.argsort([row for rows, _ in parts for row in rows])
    return AmodalPrediction.from_masks(
        np.concatenate([p.raw_amodal_masks for _, p in parts])[order],
        np.concatenate([p.visible_masks for _, p in parts])[order],
        np.concatenate([p.predicted_iou for _, p in parts])[order],
    )
