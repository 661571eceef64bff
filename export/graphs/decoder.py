# SPDX-License-Identifier: Apache-2.0
"""``decoder.onnx`` of SAM and MobileSAM: prompt encoder and mask decoder, single-mask token.

The computation is that of the official modules, re-associated; only the mask token that is used
is decoded. Adapters in the decoder are part of the graph, which then takes their M_spec and gain,
and for the mask's adapter the suffix's ``high_res_0``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from amodal_ros.modeling.decoder_adapters import (
    DECODER_STRIDE,
    MASK_POSITION,
    adapter_name,
    mask_adapter,
)
from amodal_ros.modeling.prompts import embed_prompts
from amodal_ros.modeling.torch_backend import HIGH_RES
from amodal_ros.modeling.two_mask_head import SECOND_TOKEN, SINGLE_TOKEN, two_mask_head
from export.graphs.onnx_graph import Component, Tensor, export_component
from export.graphs.prepare import prepare
from export.graphs.two_way import TwoWay, Upscaling, cell_centres

FIRST_MASK_TOKEN = 1  # after that of the predicted IoU


class DecoderGraph(nn.Module):
    """``embeddings, point_coords, point_labels -> low_res_logits, predicted_iou``.

    With a head for two masks ``visible_logits`` follow.
    """

    def __init__(
        self, prompt_encoder: Any, mask_decoder: Any, adapters: nn.ModuleDict | None = None
    ) -> None:
        """Take over the weights of the official modules of ``segment_anything``'s layout.

        Args:
            prompt_encoder: Official ``PromptEncoder``.
            mask_decoder: Official ``MaskDecoder``.
            adapters: Those of the decoder, by :func:`adapter_name`; others are left out.
        """
        super().__init__()
        given = nn.ModuleDict() if adapters is None else adapters
        names = [adapter_name(position) for position in range(MASK_POSITION)]
        self.adapters = nn.ModuleDict({name: given[name] for name in names if name in given})
        self.mask_adapter = mask_adapter(given)
        self.two_masks = two_mask_head(given)
        self.prompt_encoder = prompt_encoder
        self.two_way = TwoWay(mask_decoder.transformer)
        height, width = prompt_encoder.image_embedding_size
        self.upscaling = Upscaling(mask_decoder.output_upscaling, height)
        self.mask_head = mask_decoder.output_hypernetworks_mlps[0]
        self.iou_head = mask_decoder.iou_prediction_head
        own = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight])
        self.register_buffer("own_tokens", own.detach().unsqueeze(0).contiguous())
        self.register_buffer("centres", cell_centres(height, width))

    @property
    def is_adapted(self) -> bool:
        """Whether the graph takes M_spec and gain."""
        return len(self.adapters) > 0 or self.mask_adapter is not None

    @property
    def takes_gain(self) -> bool:
        """Whether it takes the gain, with or without M_spec."""
        return self.is_adapted or self.two_masks is not None

    def forward(
        self,
        embeddings: torch.Tensor,
        point_coords: torch.Tensor,
        point_labels: torch.Tensor,
        adapter_gain: torch.Tensor | None = None,
        prior_masks: torch.Tensor | None = None,
        high_res_0: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Decode the single mask of each object, and the visible one.

        Args:
            embeddings: ``(N, 256, s, s)``; one row that all share where there is no adapter.
            point_coords: ``(N, P, 2)``.
            point_labels: ``(N, P)``.
            adapter_gain: ``(N,)``, for adapters and for the head for two masks.
            prior_masks: M_spec ``(N, 1, 16 s, 16 s)``, for adapters.
            high_res_0: ``(N, C, 4 s, 4 s)``, for the mask's adapter.
        """
        side = embeddings.shape[-1]

        def adapt(position: int, cells: torch.Tensor) -> torch.Tensor:
            if adapter_name(position) not in self.adapters:
                return cells
            image = cells.transpose(1, 2).unflatten(2, (side, side))
            adapted = self.adapters[adapter_name(position)](image, prior_masks, adapter_gain)
            return adapted.flatten(2).transpose(1, 2)

        sparse = embed_prompts(self.prompt_encoder, point_coords, point_labels)
        own = self.own_tokens.expand(sparse.shape[0], -1, -1)
        position = self.prompt_encoder.pe_layer._pe_encoding(self.centres)
        no_mask = self.prompt_encoder.no_mask_embed.weight.reshape(1, 1, -1)
        cells = embeddings.flatten(2).transpose(1, 2) + no_mask
        prompts = torch.cat([own, sparse], dim=1)
        used = FIRST_MASK_TOKEN + (1 if self.two_masks is None else SECOND_TOKEN + 1)
        tokens, cells = self.two_way(prompts, cells, position, used, adapt)
        masks = tokens[:, FIRST_MASK_TOKEN:]
        mask_weights = self.mask_head(masks[:, SINGLE_TOKEN]).unsqueeze(1)
        if self.two_masks is not None and adapter_gain is not None:
            mask_weights = mask_weights + self.two_masks(masks, adapter_gain)
        if self.mask_adapter is None:
            logits = self.upscaling(cells, mask_weights)
        else:
            rows = self.upscaling.upscale(cells)
            logits = rows @ mask_weights.transpose(1, 2)
            # The adapter's first, 1x1 convolution comes before the rows are put in order.
            hidden = self.mask_adapter.reduce_rows(rows, logits)
            both = self.upscaling.in_order(torch.cat([logits, hidden], dim=2))
            count = mask_weights.shape[1]
            logits = self.mask_adapter.correct(
                both[:, :count], both[:, count:] + high_res_0, prior_masks, adapter_gain
            )
        iou = self._predict_iou(tokens[:, 0])
        if self.two_masks is None:
            return logits, iou
        return logits[:, :1], iou, logits[:, 1:]

    def _predict_iou(self, token: torch.Tensor) -> torch.Tensor:
        """Run the IoU head for the single mask alone: ``(N, C)`` -> ``(N,)``."""
        *hidden, last = self.iou_head.layers
        for layer in hidden:
            token = F.relu(layer(token))
        return F.linear(token, last.weight[:1], last.bias[:1]).squeeze(1)


def export_decoder(
    prompt_encoder: Any, mask_decoder: Any, adapters: nn.ModuleDict | None = None
) -> Component:
    """Export the decoder with free numbers of objects N and of points P.

    Embeddings may have N rows or, in a decoder without adapters, one that all objects share.

    Args:
        prompt_encoder: Official ``PromptEncoder`` of ``segment_anything`` or ``mobile_sam``.
        mask_decoder: Its official ``MaskDecoder``, not prepared.
        adapters: The model's; those of the decoder become part of the graph.
    """
    module = prepare(DecoderGraph(prompt_encoder, mask_decoder, adapters))
    height, width = prompt_encoder.image_embedding_size
    channels = prompt_encoder.embed_dim
    examples = [
        torch.zeros(2, channels, height, width),
        torch.ones(2, 3, 2),
        torch.ones(2, 3),
    ]
    inputs = [
        Tensor("embeddings", ("N", channels, height, width)),
        Tensor("point_coords", ("N", "P", 2)),
        Tensor("point_labels", ("N", "P")),
    ]
    if module.takes_gain:
        examples += [torch.ones(2)]
        inputs += [Tensor("adapter_gain", ("N",))]
    if module.is_adapted:
        size = DECODER_STRIDE * height
        examples += [torch.zeros(2, 1, size, size)]
        inputs += [Tensor("prior_masks", ("N", 1, size, size))]
    if module.mask_adapter is not None:
        depth = module.mask_adapter.hidden_dim
        examples += [torch.zeros(2, depth, 4 * height, 4 * width)]
        inputs += [Tensor(HIGH_RES[0], ("N", depth, 4 * height, 4 * width))]
    outputs = [
        Tensor("low_res_logits", ("N", 1, 4 * height, 4 * width)),
        Tensor("predicted_iou", ("N",)),
    ]
    if module.two_masks is not None:
        outputs.append(Tensor("visible_logits", ("N", 1, 4 * height, 4 * width)))
    return export_component(
        "decoder",
        module,
        tuple(examples),
        tuple(inputs),
        tuple(outputs),
        renamed={} if module.takes_gain else {"embeddings": {0: "E"}},
    )
