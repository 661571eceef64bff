# SPDX-License-Identifier: Apache-2.0
"""From a batch or a clip to predictions, in training and in validation alike."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_model import AmodalModel, Features
from training.batch import TrainBatch, TrainClip
from training.losses.segmentation import upsample_logits
from training.trainer.clips import clip_predictions
from training.trainer.config import VideoConfig
from training.trainer.source import Batch


@dataclass(frozen=True, eq=False)
class FramePrediction:
    """What the model said about N objects of one picture.

    Attributes:
        batch: What it was asked, with the M_spec that it was given.
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


def predict(
    model: AmodalModel, batch: Batch, video: VideoConfig, visible_prior_share: float = 0.0
) -> list[FramePrediction]:
    """Run the model, one prediction per frame.

    Args:
        model: Any member of the family.
        batch: N objects of images, or of a clip's frames.
        video: How clips are run.
        visible_prior_share: See :class:`~training.trainer.config.TrainConfig`. Which objects, is
            drawn from torch's generator.

    Raises:
        InvalidInputError: ``visible_prior_share`` with a clip.
    """
    if isinstance(batch, TrainClip):
        if visible_prior_share:
            raise InvalidInputError(
                f"visible_prior_share is for images, got {visible_prior_share} with a clip"
            )
        return [
            FramePrediction(frame, logits.float(), embeddings)
            for frame, logits, embeddings in clip_predictions(model, batch, video, prefix_features)
        ]
    features, asked = prefix_features(model, batch), batch
    if visible_prior_share:
        rows = torch.nonzero(torch.rand(len(batch)) < visible_prior_share).flatten()
        if len(rows):
            asked = _with_visible_priors(model, features, batch, rows.to(features[0].device))
    embeddings = model.suffix(features, asked.prior_masks, image_index=batch.image_index)
    prompts = model.build_prompts(
        boxes_xyxy=batch.boxes_xyxy, points=batch.points, point_labels=batch.point_labels
    )
    prediction = model.decode(embeddings, prompts)
    visible = prediction.visible_logits
    return [
        FramePrediction(
            asked,
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


@torch.no_grad()
def _with_visible_priors(
    model: AmodalModel, features: Features, batch: TrainBatch, rows: torch.Tensor
) -> TrainBatch:
    """Replace the M_spec of some objects by the base model's mask of what is seen of them."""
    blank = torch.zeros_like(batch.prior_masks[rows])
    embeddings = model.suffix(
        features, blank, blank.new_zeros(len(rows)), image_index=batch.image_index[rows]
    )
    prompts = model.build_prompts(
        boxes_xyxy=_rows(batch.boxes_xyxy, rows),
        points=_rows(batch.points, rows),
        point_labels=_rows(batch.point_labels, rows),
    )
    logits = model.decode(embeddings, prompts).low_res_logits
    found = upsample_logits(logits, blank.shape[-1]).gt(0.0).to(blank.dtype)
    is_found = found.amax((1, 2, 3), keepdim=True) > 0
    priors = batch.prior_masks.clone()
    priors[rows] = torch.where(is_found, found, priors[rows])
    return replace(batch, prior_masks=priors)


def _rows(values: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor | None:
    return None if values is None else values[rows]
