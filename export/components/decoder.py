# SPDX-License-Identifier: Apache-2.0
"""``decoder.onnx`` of SAM and MobileSAM: prompt encoder and mask decoder, single-mask token.

The computation is that of the official modules, re-associated; only the mask token that is used
is decoded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from amodal_ros.modeling.prompts import embed_prompts
from export.components.two_way import TwoWay, Upscaling, cell_centres
from export.onnx_graph import Component, Tensor, export_component
from export.prepare import prepare

USED_TOKENS = 2  # predicted IoU, then the single-mask token


class DecoderGraph(nn.Module):
    """``embeddings, point_coords, point_labels -> low_res_logits, predicted_iou``."""

    def __init__(self, prompt_encoder: Any, mask_decoder: Any) -> None:
        """Take over the weights of the official modules of ``segment_anything``'s layout."""
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.two_way = TwoWay(mask_decoder.transformer)
        height, width = prompt_encoder.image_embedding_size
        self.upscaling = Upscaling(mask_decoder.output_upscaling, height)
        self.mask_head = mask_decoder.output_hypernetworks_mlps[0]
        self.iou_head = mask_decoder.iou_prediction_head
        own = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight])
        self.register_buffer("own_tokens", own.detach().unsqueeze(0).contiguous())
        self.register_buffer("centres", cell_centres(height, width))

    def forward(
        self, embeddings: torch.Tensor, point_coords: torch.Tensor, point_labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode the single mask of each object."""
        sparse = embed_prompts(self.prompt_encoder, point_coords, point_labels)
        own = self.own_tokens.expand(sparse.shape[0], -1, -1)
        position = self.prompt_encoder.pe_layer._pe_encoding(self.centres)
        no_mask = self.prompt_encoder.no_mask_embed.weight.reshape(1, 1, -1)
        cells = embeddings.flatten(2).transpose(1, 2) + no_mask
        prompts = torch.cat([own, sparse], dim=1)
        tokens, cells = self.two_way(prompts, cells, position, USED_TOKENS)
        logits = self.upscaling(cells, self.mask_head(tokens[:, 1]).unsqueeze(1))
        return logits, self._predict_iou(tokens[:, 0])

    def _predict_iou(self, token: torch.Tensor) -> torch.Tensor:
        """Run the IoU head for the single mask alone: ``(N, C)`` -> ``(N,)``."""
        *hidden, last = self.iou_head.layers
        for layer in hidden:
            token = F.relu(layer(token))
        return F.linear(token, last.weight[:1], last.bias[:1]).squeeze(1)


def export_decoder(prompt_encoder: Any, mask_decoder: Any) -> Component:
    """Export the decoder with free numbers of objects N and of points P.

    Embeddings may have N rows, or one that all objects share.

    Args:
        prompt_encoder: Official ``PromptEncoder`` of ``segment_anything`` or ``mobile_sam``.
        mask_decoder: Its official ``MaskDecoder``, not prepared.
    """
    module = prepare(DecoderGraph(prompt_encoder, mask_decoder))
    height, width = prompt_encoder.image_embedding_size
    channels = prompt_encoder.embed_dim
    examples = (
        torch.zeros(2, channels, height, width),
        torch.ones(2, 3, 2),
        torch.ones(2, 3),
    )
    return export_component(
        "decoder",
        module,
        examples,
        (
            Tensor("embeddings", ("N", channels, height, width)),
            Tensor("point_coords", ("N", "P", 2)),
            Tensor("point_labels", ("N", "P")),
        ),
        (
            Tensor("low_res_logits", ("N", 1, 4 * height, 4 * width)),
            Tensor("predicted_iou", ("N",)),
        ),
        renamed={"embeddings": {0: "E"}},
    )
