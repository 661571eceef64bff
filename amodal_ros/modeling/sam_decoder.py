# SPDX-License-Identifier: Apache-2.0
"""SAM's prompt encoder and mask decoder for objects that have an embedding of their own.

``segment_anything``'s ``MaskDecoder.forward`` decodes many prompts of one image. Here each object
brings its own embedding, so the same modules run with the batch of objects on both sides.
"""

from __future__ import annotations

from typing import Any

import torch

from amodal_ros.modeling.object_prompts import ObjectPrompts


def decode_objects(
    prompt_encoder: Any,
    mask_decoder: Any,
    embeddings: torch.Tensor,
    prompts: ObjectPrompts,
    *,
    multimask_output: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode N objects with SAM's own modules.

    Args:
        prompt_encoder: ``PromptEncoder`` of ``segment_anything`` or ``mobile_sam``.
        mask_decoder: Their ``MaskDecoder``.
        embeddings: ``(N, 256, s, s)``.
        prompts: Of the same N objects, in pixels of the input frame.
        multimask_output: Return the three multi-mask tokens instead of the single one.

    Returns:
        Low-resolution logits ``(N, M, 4s, 4s)`` and predicted IoU ``(N, M)``; M is 3 or 1.
    """
    points = None
    if prompts.point_coords is not None:
        points = (prompts.point_coords, prompts.point_labels)
    sparse, dense = prompt_encoder(points=points, boxes=prompts.boxes_xyxy, masks=None)
    masks, predicted_iou = predict_masks(
        mask_decoder, embeddings, prompt_encoder.get_dense_pe(), sparse, dense
    )
    tokens = slice(1, None) if multimask_output else slice(0, 1)
    return masks[:, tokens], predicted_iou[:, tokens]


def predict_masks(
    mask_decoder: Any,
    embeddings: torch.Tensor,
    image_pe: torch.Tensor,
    sparse: torch.Tensor,
    dense: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run SAM's mask decoder on pairs of one embedding and one prompt.

    Args:
        mask_decoder: ``MaskDecoder`` of ``segment_anything`` or ``mobile_sam``.
        embeddings: ``(N, 256, s, s)``.
        image_pe: ``(1, 256, s, s)``, the encoder's positional encoding.
        sparse: ``(N, P, 256)`` embedded points and boxes.
        dense: ``(N, 256, s, s)`` embedded mask input.

    Returns:
        Logits ``(N, 4, 4s, 4s)`` and predicted IoU ``(N, 4)``, one for each mask token.
    """
    count = mask_decoder.num_mask_tokens
    own_tokens = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight])
    tokens = torch.cat([own_tokens.expand(sparse.shape[0], -1, -1), sparse], dim=1)
    decoded, image_tokens = mask_decoder.transformer(
        embeddings + dense, image_pe.expand(sparse.shape[0], -1, -1, -1), tokens
    )
    image_map = image_tokens.transpose(1, 2).unflatten(2, embeddings.shape[-2:])
    upscaled = mask_decoder.output_upscaling(image_map)
    weights = torch.stack(
        [mask_decoder.output_hypernetworks_mlps[i](decoded[:, 1 + i]) for i in range(count)],
        dim=1,
    )
    masks = (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[-2:])
    return masks, mask_decoder.iou_prediction_head(decoded[:, 0])
