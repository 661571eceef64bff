# SPDX-License-Identifier: Apache-2.0
"""Running a model and the baselines over a dataset."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amodal_ros.image.rle import encode_rle
from training.datasets import AmodalDataset, AmodalSample, CorruptRecordError
from training.evaluation.prompting import ImageAnswers, Prompter
from training.evaluation.scores import (
    PREDICTED_VISIBLE,
    ScoreBoard,
    geometric_baselines,
    percent,
    score_instance,
)
from training.metrics.miou import video_post
from training.metrics.visible import VisibleScore, measure_visible

MODEL = "model"
POST = "c2f-post"
VIDEO_POST = "c2f-video-post"


@dataclass
class Evaluation:
    """What a run collects.

    Attributes:
        boards: scores of the model, its post-processed variants and the baselines, by name.
        visible: how well what is seen is cut out.
        instances: one JSON-ready record per instance, in the order they were evaluated.
        images: number of images looked at.
        unprompted: instances nothing of which is visible and no track leads to; they count, with
            an empty prediction.
    """

    boards: dict[str, ScoreBoard] = field(default_factory=dict)
    visible: list[VisibleScore] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    unprompted: int = 0

    def add(
        self, name: str, sample: AmodalSample, prediction: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """Score one prediction under a name and return its figures."""
        score = score_instance(prediction, sample.amodal_mask, sample.visible_mask)
        self.boards.setdefault(name, ScoreBoard()).add(score, _clip(sample))
        occluded = score.overlap.iou_occluded if score.overlap.is_occluded else None
        return {
            "iou_full": percent(score.overlap.iou_full),
            "iou_occ": percent(occluded),
            "boundary_f": percent(score.boundary_f),
        }


def _clip(sample: AmodalSample) -> Hashable | None:
    """Which object of which video; None for stills."""
    place = (sample.video_id, sample.track_id)
    return None if None in place else place


def evaluate(
    dataset: AmodalDataset,
    prompter: Prompter,
    limit: int | None = None,
    bad: list[CorruptRecordError] | None = None,
    progress: Callable[[Sequence[list[int]]], Iterator[list[int]]] = iter,
) -> Evaluation:
    """Evaluate a model on a dataset; the same input gives the same result.

    Args:
        dataset: what to evaluate on.
        prompter: the model and how it is prompted.
        limit: stop after this many instances, at the end of an image; None: all.
        bad: collects corrupt records; None: the first one raises.
        progress: wraps the list of images, to show a bar.

    Raises:
        CorruptRecordError: without `bad`, naming file and record.
    """
    evaluation = Evaluation()
    for indices in progress(_limited(dataset.images(), limit)):
        samples = list(dataset.read(indices, bad))
        if not samples:
            continue
        try:
            image = samples[0].image.load()
        except CorruptRecordError as error:
            if bad is None:
                raise
            bad.append(error)
            continue
        answers = prompter.answer(image, samples)
        evaluation.images += 1
        for row, sample in enumerate(samples):
            _add_instance(evaluation, samples, row, sample, answers)
    return evaluation


def _limited(images: list[list[int]], limit: int | None) -> list[list[int]]:
    """The first images that hold `limit` instances."""
    if limit is None:
        return images
    count, kept = 0, []
    for indices in images:
        if count >= limit:
            break
        kept.append(indices)
        count += len(indices)
    return kept


def _add_instance(
    evaluation: Evaluation,
    samples: Sequence[AmodalSample],
    row: int,
    sample: AmodalSample,
    answers: ImageAnswers,
) -> None:
    raw, seen = answers.raw_amodal_masks[row], answers.visible_masks[row]
    figures = evaluation.add(MODEL, sample, raw)
    post = evaluation.add(POST, sample, raw | seen)
    others = _others(samples, row)
    if _clip(sample) is not None:
        # Without one of its own: where no other object is seen, as MOViD-A's loss mask is made.
        certain = ~others if sample.loss_mask is None else sample.loss_mask
        evaluation.add(VIDEO_POST, sample, video_post(raw, sample.visible_mask, certain))
    baselines = {**geometric_baselines(sample.visible_mask), PREDICTED_VISIBLE: seen}
    scores = {name: evaluation.add(name, sample, mask) for name, mask in baselines.items()}
    cut_out = measure_visible(seen, sample.visible_mask, others, sample.occlusion_rate)
    evaluation.visible.append(cut_out)
    evaluation.unprompted += not answers.prompted[row]
    evaluation.instances.append(
        {
            "image": str(sample.image.path),
            "image_id": sample.image_id,
            "instance_id": sample.instance_id,
            "category": sample.category_name,
            "video_id": sample.video_id,
            "frame": sample.frame,
            "track_id": sample.track_id,
            "record": sample.provenance.record,
            "occlusion_rate": percent(sample.occlusion_rate),
            "prompted": bool(answers.prompted[row]),
            "predicted_iou": round(float(answers.predicted_iou[row]), 4),
            **figures,
            "visible_iou": percent(cut_out.iou),
            "visible_on_others": percent(cut_out.on_others),
            "post": post,
            "baselines": scores,
            "prediction": encode_rle(raw),
            "amodal": encode_rle(sample.amodal_mask),
            "visible": encode_rle(sample.visible_mask),
        }
    )


def _others(samples: Sequence[AmodalSample], row: int) -> NDArray[np.bool_]:
    """What is seen of the image's other objects, less what is seen of the object itself."""
    seen = np.zeros_like(samples[row].visible_mask)
    for other, sample in enumerate(samples):
        if other != row:
            seen |= sample.visible_mask
    return seen & ~samples[row].visible_mask
