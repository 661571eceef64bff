# SPDX-License-Identifier: Apache-2.0
"""Predictions as pictures: image, M_spec, visible, prediction and truth beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD
from training.losses.segmentation import upsample_logits
from training.trainer.forward import FramePrediction

_SIDE = 192
_GREY = 0.5


def picture_rows(frames: Sequence[FramePrediction], rows: int) -> torch.Tensor:
    """Draw the first objects, one per row.

    Args:
        frames: Predictions, on the CPU.
        rows: At most so many objects.

    Returns:
        ``(3, rows x 192, 5 x 192)`` float32 in [0, 1], RGB.
    """
    drawn: list[torch.Tensor] = []
    for frame in frames:
        batch = frame.batch
        predicted = upsample_logits(frame.low_res_logits, batch.amodal.shape[-1]).gt(0.0).float()
        for row in range(min(len(batch), rows - len(drawn))):
            masks = (batch.prior_masks, batch.visible, predicted, batch.amodal)
            panels = [_image(frame, row)] + [_enlarged(m[row]).expand(3, -1, -1) for m in masks]
            drawn.append(torch.cat(panels, dim=2))
    return torch.cat(drawn, dim=1) if drawn else torch.full((3, 1, 1), _GREY)


def _image(frame: FramePrediction, row: int) -> torch.Tensor:
    """The input of an object ``(3, 192, 192)``; where there are features alone, the original."""
    batch = frame.batch
    pixels = batch.originals if batch.images is None else batch.images
    if pixels is None:
        return torch.full((3, _SIDE, _SIDE), _GREY)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
    image = pixels[int(batch.image_index[row])].float() * std + mean
    return (_enlarged(image) / 255.0).clamp(0.0, 1.0)


def _enlarged(image: torch.Tensor) -> torch.Tensor:
    size = (_SIDE, _SIDE)
    return F.interpolate(image[None].float(), size=size, mode="bilinear", align_corners=False)[0]
