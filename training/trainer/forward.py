# SPDX-License-Identifier: Apache-2.0
"""From a batch or a clip to predictions, in training and in validation alike.

A clip goes frame by frame, as the video predictor runs one (paper, 3.5, A.1.4), but trainable.
M_spec of frame t is the prediction of frame t - 1, dilated into a coarse region; no gradient flows
through it. With SAM 2 each object has SAM 2's memory, through which gradients do flow; without,
the box of the previous prediction prompts the next frame.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from amodal_ros.image.masks import dilate_mask, mask_box
from amodal_ros.modeling.amodal_model import AmodalModel, Features, ObjectEmbeddings
from amodal_ros.modeling.amodal_sam2 import AmodalSam2
from amodal_ros.modeling.prompts import Prompts
from amodal_ros.modeling.sam2_memory import ObjectMemory
from training.batch import TrainBatch, TrainClip
from training.losses.segmentation import upsample_logits
from training.trainer.config import VideoConfig
from training.trainer.loading import Batch


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
    """Run the model, one prediction per frame."""
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


Frame = tuple[TrainBatch, torch.Tensor, torch.Tensor]


def clip_predictions(
    model: AmodalModel,
    clip: TrainClip,
    video: VideoConfig,
    prefix: Callable[[AmodalModel, TrainBatch], Features],
) -> Iterator[Frame]:
    """Yield for each frame what the model was asked, its logits and its embeddings.

    Args:
        model: Any member of the family.
        clip: T frames of N objects.
        video: How clips are run.
        prefix: Gives the features of a frame before the first adapter.
    """
    memories = _memories(model, clip, video)
    logits: torch.Tensor | None = None
    for index, frame in enumerate(clip.frames):
        if logits is not None:
            frame = follow(frame, logits, video.prior_dilation)
        embeddings = model.suffix(
            prefix(model, frame), frame.prior_masks, image_index=frame.image_index
        )
        prompts = model.build_prompts(
            boxes_xyxy=frame.boxes_xyxy, points=frame.points, point_labels=frame.point_labels
        )
        if memories is None:
            logits = model.decode(embeddings, prompts).low_res_logits
        else:
            logits = _decode_with_memory(memories, index, embeddings, prompts)
        yield frame, logits, embeddings.embeddings


def follow(frame: TrainBatch, previous_logits: torch.Tensor, dilation: float) -> TrainBatch:
    """Give a frame M_spec and box of the previous prediction, where that is not empty.

    Args:
        frame: N objects; what it brings stands in where a prediction is empty.
        previous_logits: ``(N, 1, s, s)`` of the frame before.
        dilation: Radius of the coarse region over the square root of the mask's area.
    """
    side = frame.prior_masks.shape[-1]
    with torch.no_grad():
        masks = upsample_logits(previous_logits.detach(), side)[:, 0].gt(0.0).cpu().numpy()
    priors = frame.prior_masks.clone()
    boxes = None if frame.boxes_xyxy is None else frame.boxes_xyxy.clone()
    for row, mask in enumerate(masks):
        if not mask.any():
            continue
        region = dilate_mask(mask, dilation * float(np.sqrt(np.count_nonzero(mask))))
        priors[row, 0] = torch.from_numpy(region).to(priors)
        if boxes is not None:
            boxes[row] = torch.tensor(mask_box(mask)).to(boxes)
    return replace(frame, prior_masks=priors, boxes_xyxy=boxes)


def _memories(
    model: AmodalModel, clip: TrainClip, video: VideoConfig
) -> list[ObjectMemory] | None:
    if not video.use_memory or not isinstance(model, AmodalSam2):
        return None
    return [
        ObjectMemory(model, max_conditioning_frames=1, clip_length=max(2, len(clip.frames)))
        for _ in range(len(clip))
    ]


def _decode_with_memory(
    memories: list[ObjectMemory], index: int, embeddings: ObjectEmbeddings, prompts: Prompts
) -> torch.Tensor:
    """Decode each object from its own memory; the first frame is the prompted one."""
    logits = []
    for row, memory in enumerate(memories):
        one = embeddings.row(row)
        if index == 0:
            rows = slice(row, row + 1)
            asked = Prompts(prompts.coords[rows], prompts.labels[rows])
            logits.append(memory.prompt(index, one, asked, None)[0])
        else:
            logits.append(memory.track(index, one)[0])
    return torch.cat(logits)
