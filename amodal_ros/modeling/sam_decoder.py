# SPDX-License-Identifier: Apache-2.0
"""SAM's mask decoder for N objects that each have an embedding of their own.

The official ``MaskDecoder.forward`` repeats one image's embedding for every prompt. An amodal
model has one embedding per object, so the official modules are called here in the same order with
the rows already in place.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from amodal_ros.modeling.amodal_model import MaskPrediction, ObjectEmbeddings
from amodal_ros.modeling.decoder_adapters import adapted_transformer, mask_adapter
from amodal_ros.modeling.prompts import Prompts, embed_prompts
from amodal_ros.modeling.two_mask_head import TwoMaskHead, two_mask_head


def decode_objects(
    base: Any,
    adapters: nn.ModuleDict,
    embeddings: ObjectEmbeddings,
    prompts: Prompts,
    *,
    multimask_output: bool = False,
) -> MaskPrediction:
    """Decode N objects with the frozen decoder and the adapters that sit in it or behind it.

    Adapters see the M_spec and the gain that the embeddings were made with.

    Args:
        base: Official model of ``segment_anything`` or ``mobile_sam``.
        adapters: All of the amodal model's.
        embeddings: Of N objects.
        prompts: Of the same objects.
        multimask_output: Return the three masks for ambiguous prompts in place of the single one.
    """
    encoder, decoder = base.prompt_encoder, base.mask_decoder
    adapter, head = mask_adapter(adapters), two_mask_head(adapters)
    prior, gain = embeddings.prior_masks, embeddings.adapter_gain
    sparse = embed_prompts(encoder, prompts.coords, prompts.labels)
    source = embeddings.embeddings + encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    with adapted_transformer(decoder.transformer, adapters, prior, gain):
        logits, iou, upscaled = predict_all_masks(
            decoder, source, encoder.get_dense_pe(), sparse, head, gain
        )
    count = decoder.num_mask_tokens
    kept = slice(1, count) if multimask_output else slice(0, 1)
    masks, visible = logits[:, kept], logits[:, count:]
    if adapter is not None:
        better = [
            adapter(
                torch.cat([mask, visible], dim=1), upscaled, embeddings.high_res[0], prior, gain
            )
            for mask in masks.split(1, dim=1)
        ]
        masks = torch.cat([pair[:, :1] for pair in better], dim=1)
        visible = better[0][:, 1:]
    return MaskPrediction(masks, iou[:, kept], embeddings, None if head is None else visible)


def predict_all_masks(
    mask_decoder: nn.Module,
    source: torch.Tensor,
    image_pe: torch.Tensor,
    sparse: torch.Tensor,
    head: TwoMaskHead | None = None,
    gain: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run ``MaskDecoder.predict_masks`` on rows that are already one per prompt.

    Args:
        mask_decoder: Official ``MaskDecoder``.
        source: Embeddings plus dense prompt, ``(N, 256, s, s)``.
        image_pe: ``(1, 256, s, s)``.
        sparse: Sparse prompt embeddings ``(N, P, 256)``.
        head: Corrects the single mask and gives the visible one.
        gain: ``(N or 1,)``, of the head; None: 1.

    Returns:
        ``(N, 4, 4s, 4s)`` logits and ``(N, 4)`` predicted IoU for all mask tokens, and the
        upscaled features ``(N, C / 8, 4s, 4s)`` that the logits are products with. With a ``head``
        the visible mask follows as a fifth.
    """
    n, channels, height, width = source.shape
    output_tokens = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight])
    tokens = torch.cat([output_tokens.expand(n, -1, -1), sparse], dim=1)
    hidden, source = mask_decoder.transformer(source, image_pe.expand(n, -1, -1, -1), tokens)
    upscaled = mask_decoder.output_upscaling(
        source.transpose(1, 2).reshape(n, channels, height, width)
    )
    count = mask_decoder.num_mask_tokens
    weights = torch.stack(
        [mask_decoder.output_hypernetworks_mlps[i](hidden[:, 1 + i]) for i in range(count)], dim=1
    )
    if head is not None:
        change = head(hidden[:, 1 : 1 + count], source.new_ones(1) if gain is None else gain)
        both = weights[:, :1] + change
        weights = torch.cat([both[:, :1], weights[:, 1:], both[:, 1:]], dim=1)
    logits = (weights @ upscaled.flatten(2)).unflatten(2, (4 * height, 4 * width))
    return logits, mask_decoder.iou_prediction_head(hidden[:, 0]), upscaled
