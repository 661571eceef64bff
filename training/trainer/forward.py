# SPDX-License-Identifier: Apache-2.0
"""From a batch or a clip to predictions, in training and in validation alike."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch

from amodal_ros.modeling.amodal_model import AmodalModel, Features
from training.batch import TrainBatch, TrainClip
from training.trainer.clips import clip_predictions
from training.trainer.config import VideoConfig
from training.trainer.source import Batch


@dataclass(frozen=True, eq=False)
class FramePrediction:
    """What the model said about N objects of one picture.

    Attributes:
        batch: What it was asked.
        low_res_logits: ``(N, 1, s, s)`` float32.
        embeddings: ``(N, C, s / 4, s / 4)``, the adapted encoder's.
        visible_logits: ``(N, 1, s, s)`` float32 of what is seen; None for a model that does not
            say, and for clips, where the visible mask takes no part.
    """

    batch: TrainBatch
    low_res_logits: torch.Tensor
    embeddings: torch.Tensor
    visible_logits: torch.Tensor | None = None


def frames_of(batch: Batch) -> tuple[TrainBatch, ...]:
    """Return the frames of a clip; a batch of images is one."""
    return batch.frames if isinstance(batch, TrainClip) else (batch,)


def predict(model: AmodalModel, batch: Batch, video: VideoConfig) -> list[FramePrediction]:
    """Run the model, one prediction per frame.

    Args:
        model: Any member of the family.
        batch: N objects of images, or of a clip's frames.
        video: How clips are run.
    """
    if isinstance(batch, TrainClip):
        return [
            FramePrediction(frame, logits.float(), embeddings)
            for frame, logits, embeddings in clip_predictions(model, batch, video, prefix_features)
        ]
    features = prefix_features(model, batch)
    embeddings = model.suffix(features, batch.prior_masks, image_index=batch.image_index)
    prompts = model.build_prompts(
        boxes_xyxy=batch.boxes_xyxy, points=batch.points, point_labels=batch.point_labels
    )
    prediction = model.decode(embeddings, prompts)
    visible = prediction.visible_logits
    return [
        FramePrediction(
            batch,
            prediction.low_res_logits.float(),
            embeddings.embeddings,
            None if visible is None else visible.float(),
        )
    ]


def prefix_features(model: AmodalModel, batch: TrainBatch) -> Features:
    """Return the features before the first adapter: those of the batch, or computed.

    Unless the encoder is trained too, nothing there has a gradient.
    """
    if batch.features is not None:
        return batch.features
    is_frozen = "image_encoder" not in model.config.unfrozen
    with torch.no_grad() if is_frozen else contextlib.nullcontext():
        return model.prefix(batch.images)
