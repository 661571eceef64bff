# SPDX-License-Identifier: Apache-2.0
"""``decoder.onnx`` of SAM 2 and 2.1: an image's objects, without memory.

As SAM's (see :mod:`export.graphs.decoder`), and with the two high-resolution maps,
the token that says whether the object is there, and the choice among masks that ``sam2`` makes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from amodal_ros.modeling.prompts import embed_prompts
from amodal_ros.modeling.torch_backend import HIGH_RES
from amodal_ros.modeling.two_mask_head import SECOND_TOKEN, TwoMaskHead
from export.graphs.onnx_graph import Component, Tensor, export_component
from export.graphs.prepare import prepare
from export.graphs.two_way import TwoWay, Upscaling, cell_centres

HIGH_RES_SCALES = (4, 2)


class Sam2Masks(nn.Module):
    """``MaskDecoder.predict_masks`` of ``sam2`` for the first M of its mask tokens."""

    def __init__(self, base: Any, masks: int, two_masks: TwoMaskHead | None = None) -> None:
        """Take over the weights of prompt encoder and mask decoder.

        Args:
            base: Official ``SAM2Base``.
            masks: M: 1 for the single-mask token, 4 for all.
            two_masks: Corrects the single mask, and gives the visible one.
        """
        super().__init__()
        decoder = base.sam_mask_decoder
        self.two_masks = two_masks
        self.prompt_encoder = base.sam_prompt_encoder
        self.two_way = TwoWay(decoder.transformer)
        height, width = self.prompt_encoder.image_embedding_size
        self.upscaling = Upscaling(decoder.output_upscaling, height)
        self.mask_heads = nn.ModuleList(list(decoder.output_hypernetworks_mlps)[:masks])
        self.iou_head, self.score_head = decoder.iou_prediction_head, decoder.pred_obj_score_head
        own = torch.cat(
            [decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight]
        )
        self.register_buffer("own_tokens", own.detach().unsqueeze(0).contiguous())
        self.register_buffer("centres", cell_centres(height, width))

    def forward(
        self,
        embeddings: torch.Tensor,
        high_res: tuple[torch.Tensor, ...],
        point_coords: torch.Tensor,
        point_labels: torch.Tensor,
        gain: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decode N objects.

        Returns:
            Logits ``(N, M, 4s, 4s)``, predicted IoU ``(N, M)``, mask tokens ``(N, M, C)``, the
            object's score ``(N, 1)`` and logits of the visible mask ``(N, 1, 4s, 4s)``, without a
            head ``(N, 0, 4s, 4s)``.
        """
        sparse = embed_prompts(self.prompt_encoder, point_coords, point_labels)
        own = self.own_tokens.expand(sparse.shape[0], -1, -1)
        position = self.prompt_encoder.pe_layer._pe_encoding(self.centres)
        no_mask = self.prompt_encoder.no_mask_embed.weight.reshape(1, 1, -1)
        cells = embeddings.flatten(2).transpose(1, 2) + no_mask
        count = len(self.mask_heads)
        prompts = torch.cat([own, sparse], dim=1)
        used = count if self.two_masks is None else max(count, SECOND_TOKEN + 1)
        tokens, cells = self.two_way(prompts, cells, position, 2 + used)
        vectors = [head(tokens[:, 2 + i]) for i, head in enumerate(self.mask_heads)]
        weights = torch.stack(vectors, dim=1)
        if self.two_masks is not None and gain is not None:
            both = weights[:, :1] + self.two_masks(tokens[:, 2:], gain)
            weights = torch.cat([both[:, :1], weights[:, 1:], both[:, 1:]], dim=1)
        logits = self.upscaling(cells, weights, *high_res)
        iou = self.iou_head(tokens[:, 1])[:, :count]
        score = self.score_head(tokens[:, 0])
        return logits[:, :count], iou, tokens[:, 2 : 2 + count], score, logits[:, count:]


class StableChoice(nn.Module):
    """``MaskDecoder._dynamic_multimask_via_stability``: the best of three for an unstable mask."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.delta = float(decoder.dynamic_multimask_stability_delta)
        self.threshold = float(decoder.dynamic_multimask_stability_thresh)

    def forward(
        self, logits: torch.Tensor, iou: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose from ``(N, 4, h, w)`` and ``(N, 4)``: ``(N, 1, h, w)`` and ``(N, 1)``."""
        single = logits[:, :1]
        inner = (single > self.delta).float().sum(dim=(2, 3))
        outer = (single > -self.delta).float().sum(dim=(2, 3))
        # inner / outer >= threshold, where nothing over nothing counts as stable
        stable = inner >= self.threshold * outer
        best_logits, best_iou, _ = best_of(logits[:, 1:], iou[:, 1:])
        return (
            torch.where(stable[:, :, None, None], single, best_logits),
            torch.where(stable, iou[:, :1], best_iou),
        )


def best_of(
    logits: torch.Tensor, iou: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Take the mask of greatest predicted IoU: logits, IoU and its weights ``(N, M, 1)``."""
    best = iou.argmax(dim=1, keepdim=True)
    is_best = (torch.arange(iou.shape[1]).unsqueeze(0) == best).to(logits.dtype)
    chosen = (logits * is_best[:, :, None, None]).sum(dim=1, keepdim=True)
    return chosen, (iou * is_best).sum(dim=1, keepdim=True), is_best.unsqueeze(2)


class Sam2DecoderGraph(nn.Module):
    """``embeddings, high_res_0, high_res_1, point_coords, point_labels -> logits, IoU``.

    With a head for two masks it takes the gain too, and gives ``visible_logits``.
    """

    def __init__(self, base: Any, two_masks: TwoMaskHead | None = None) -> None:
        super().__init__()
        decoder = base.sam_mask_decoder
        self.choice: StableChoice | None = None
        if decoder.dynamic_multimask_via_stability:
            self.choice = StableChoice(decoder)
        count = 1 if self.choice is None else decoder.num_mask_tokens
        self.masks = Sam2Masks(base, count, two_masks)
        if base.directly_add_no_mem_embed:
            no_memory = base.no_mem_embed.detach().reshape(1, -1, 1, 1)
        else:
            no_memory = torch.zeros(1, 1, 1, 1)
        self.register_buffer("no_memory", no_memory.contiguous())

    def forward(
        self,
        embeddings: torch.Tensor,
        high_res_0: torch.Tensor,
        high_res_1: torch.Tensor,
        point_coords: torch.Tensor,
        point_labels: torch.Tensor,
        adapter_gain: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Decode one mask of each object, and the visible one."""
        maps = (high_res_0, high_res_1)
        logits, iou, _, _, visible = self.masks(
            embeddings + self.no_memory, maps, point_coords, point_labels, adapter_gain
        )
        if self.choice is not None:
            logits, iou = self.choice(logits, iou)
        if self.masks.two_masks is None:
            return logits, iou.squeeze(1)
        return logits, iou.squeeze(1), visible


def decoder_maps(base: Any, rows: str) -> tuple[Tensor, ...]:
    """The decoder's inputs that a suffix computes."""
    channels, side = int(base.sam_prompt_embed_dim), int(base.sam_image_embedding_size)
    maps = [Tensor("embeddings", (rows, channels, side, side))]
    for name, divisor, scale in zip(HIGH_RES, (8, 4), HIGH_RES_SCALES, strict=True):
        maps.append(Tensor(name, (rows, channels // divisor, scale * side, scale * side)))
    return tuple(maps)


def example_of(tensor: Tensor) -> torch.Tensor:
    """Zeros to trace with; a free number of points is 3, of rows 2."""
    free = {"P": 3}
    return torch.zeros([s if isinstance(s, int) else free.get(s, 2) for s in tensor.shape])


def export_sam2_decoder(base: Any, two_masks: TwoMaskHead | None = None) -> Component:
    """Export the decoder with free numbers of objects N and of points P.

    Embeddings and maps may have N rows or, without a head for two masks, one that all share.

    Args:
        base: Official ``SAM2Base``, not prepared.
        two_masks: The model's head, where it has one.
    """
    side = int(base.sam_image_embedding_size)
    inputs = [
        *decoder_maps(base, "N"),
        Tensor("point_coords", ("N", "P", 2)),
        Tensor("point_labels", ("N", "P")),
    ]
    outputs = [
        Tensor("low_res_logits", ("N", 1, 4 * side, 4 * side)),
        Tensor("predicted_iou", ("N",)),
    ]
    shared: tuple[str, ...] = ("embeddings", *HIGH_RES)
    if two_masks is not None:
        shared = ()  # the gain has N rows
        inputs.append(Tensor("adapter_gain", ("N",)))
        outputs.append(Tensor("visible_logits", ("N", 1, 4 * side, 4 * side)))
    return export_component(
        "decoder",
        prepare(Sam2DecoderGraph(base, two_masks)),
        tuple(example_of(tensor) for tensor in inputs),
        tuple(inputs),
        tuple(outputs),
        renamed={name: {0: "E"} for name in shared},
    )
