# SPDX-License-Identifier: Apache-2.0
"""``memory_decoder.onnx`` of SAM 2: a frame's mask, and the pointer that later frames look at."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from amodal_ros.modeling.two_mask_head import TwoMaskHead
from export.graphs.onnx_graph import Component, Tensor, export_component
from export.graphs.prepare import prepare
from export.graphs.sam2_decoder import (
    Sam2Masks,
    StableChoice,
    best_of,
    decoder_maps,
    example_of,
)

ABSENT_LOGIT = -1024.0  # sam2's NO_OBJ_SCORE


class MemoryDecoderGraph(nn.Module):
    """``SAM2Base._forward_sam_heads`` for points and boxes.

    ``without_memory`` (N,) is 1 for the frame of a prompt, whose embeddings have not passed the
    memory attention; ``multimask`` (N,) is 1 where the best of three masks is wanted, as ``sam2``
    does for a single click and for tracked frames. A head for two masks takes the gain too: it
    corrects the single mask, and with gain 0 leaves it.
    """

    def __init__(self, base: Any, two_masks: TwoMaskHead | None = None) -> None:
        """Take over the weights of an official ``SAM2Base``, and a model's head."""
        super().__init__()
        decoder = base.sam_mask_decoder
        self.masks = Sam2Masks(base, decoder.num_mask_tokens, two_masks)
        self.choice: StableChoice | None = None
        if decoder.dynamic_multimask_via_stability:
            self.choice = StableChoice(decoder)
        self.own_pointer = bool(decoder.use_multimask_token_for_obj_ptr)
        self.soft, self.fixed = bool(base.soft_no_obj_ptr), bool(base.fixed_no_obj_ptr)
        self.pointer = base.obj_ptr_proj
        self.register_buffer("no_memory", base.no_mem_embed.detach().reshape(1, -1, 1, 1).clone())
        self.register_buffer("no_pointer", base.no_obj_ptr.detach().clone())

    def forward(
        self,
        embeddings: torch.Tensor,
        high_res_0: torch.Tensor,
        high_res_1: torch.Tensor,
        point_coords: torch.Tensor,
        point_labels: torch.Tensor,
        without_memory: torch.Tensor,
        multimask: torch.Tensor,
        adapter_gain: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Decode N objects: logits, predicted IoU, object pointer, object score."""
        image = embeddings + without_memory[:, None, None, None] * self.no_memory
        logits, iou, tokens, score, _ = self.masks(
            image,
            (high_res_0, high_res_1),
            point_coords,
            point_labels,
            adapter_gain,
        )
        best_logits, best_iou, weights = best_of(logits[:, 1:], iou[:, 1:])
        single, single_iou = logits[:, :1], iou[:, :1]
        if self.choice is not None:
            single, single_iou = self.choice(logits, iou)
        wanted = multimask.unsqueeze(1) > 0.5
        chosen = torch.where(wanted[:, :, None, None], best_logits, single)
        chosen_iou = torch.where(wanted, best_iou, single_iou).squeeze(1)
        token = tokens[:, 0]
        if self.own_pointer:
            token = torch.where(wanted, (tokens[:, 1:] * weights).sum(dim=1), token)
        is_there = score > 0
        chosen = torch.where(is_there[:, :, None, None], chosen, ABSENT_LOGIT)
        share = score.sigmoid() if self.soft else is_there.to(token.dtype)
        pointer = self.pointer(token)
        if self.fixed:
            pointer = pointer * share
        return chosen, chosen_iou, pointer + (1 - share) * self.no_pointer, score


def export_memory_decoder(base: Any, two_masks: TwoMaskHead | None = None) -> Component:
    """Export with free numbers of objects N and of points P.

    Args:
        base: Official ``SAM2Base``, not prepared.
        two_masks: The model's head, where it has one: it corrects the amodal mask.
    """
    side, channels = int(base.sam_image_embedding_size), int(base.hidden_dim)
    inputs = [
        *decoder_maps(base, "N"),
        Tensor("point_coords", ("N", "P", 2)),
        Tensor("point_labels", ("N", "P")),
        Tensor("without_memory", ("N",)),
        Tensor("multimask", ("N",)),
    ]
    if two_masks is not None:
        inputs.append(Tensor("adapter_gain", ("N",)))
    return export_component(
        "memory_decoder",
        prepare(MemoryDecoderGraph(base, two_masks)),
        tuple(example_of(tensor) for tensor in inputs),
        tuple(inputs),
        (
            Tensor("low_res_logits", ("N", 1, 4 * side, 4 * side)),
            Tensor("predicted_iou", ("N",)),
            Tensor("object_pointer", ("N", channels)),
            Tensor("object_score", ("N", 1)),
        ),
    )
