# SPDX-License-Identifier: Apache-2.0
"""``memory_decoder.onnx`` and ``memory_encoder.onnx`` of SAM 2: a frame's mask, and its memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

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


MASK_SCALE = 4.0  # pixels of the input per low-resolution logit


class MemoryEncoderGraph(nn.Module):
    """``embeddings, low_res_logits, object_score -> memory``.

    Where ``sam2`` binarises the masks of prompted frames, a fourth input says which these are.
    """

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.encoder = base.memory_encoder
        self.scale = float(base.sigmoid_scale_for_mem_enc)
        self.bias = float(base.sigmoid_bias_for_mem_enc)
        absent = torch.zeros(1, int(base.mem_dim))
        if base.no_obj_embed_spatial is not None:
            absent = base.no_obj_embed_spatial.detach()
        self.register_buffer("absent", absent[:, :, None, None].contiguous())
        self.knows_absence = base.no_obj_embed_spatial is not None

    def forward(
        self,
        embeddings: torch.Tensor,
        low_res_logits: torch.Tensor,
        object_score: torch.Tensor,
        *prompted: torch.Tensor,
    ) -> torch.Tensor:
        """Encode N objects.

        Args:
            embeddings: ``(N, C, s, s)`` from the suffix.
            low_res_logits: ``(N, 1, 4s, 4s)``.
            object_score: ``(N, 1)``.
            prompted: ``(N,)``, 1 for a frame with a prompt, else 0.

        Returns:
            ``(N, K, s, s)``.
        """
        logits = F.interpolate(
            low_res_logits, scale_factor=MASK_SCALE, mode="bilinear", align_corners=False
        )
        mask = logits.sigmoid()
        if prompted:
            binary = (logits > 0).to(mask.dtype)
            mask = torch.where(prompted[0][:, None, None, None] > 0.5, binary, mask)
        masks = self.encoder.mask_downsampler(mask * self.scale + self.bias)
        memory = self.encoder.fuser(self.encoder.pix_feat_proj(embeddings) + masks)
        memory = self.encoder.out_proj(memory)
        if not self.knows_absence:
            return memory
        is_absent = (object_score <= 0).to(memory.dtype)
        return memory + is_absent[:, :, None, None] * self.absent


def export_memory_encoder(base: Any) -> Component:
    """Export with a free number of objects N; inputs that have no effect are left out.

    Args:
        base: Official ``SAM2Base``, not prepared.
    """
    side, channels, width = int(base.sam_image_embedding_size), base.hidden_dim, base.mem_dim
    inputs = [
        Tensor("embeddings", ("N", channels, side, side)),
        Tensor("low_res_logits", ("N", 1, 4 * side, 4 * side)),
        Tensor("object_score", ("N", 1)),
    ]
    examples = [
        torch.zeros(2, channels, side, side),
        torch.zeros(2, 1, 4 * side, 4 * side),
        torch.zeros(2, 1),
    ]
    if base.binarize_mask_from_pts_for_mem_enc:
        inputs.append(Tensor("prompted", ("N",)))
        examples.append(torch.zeros(2))
    return export_component(
        "memory_encoder",
        prepare(MemoryEncoderGraph(base)),
        tuple(examples),
        tuple(inputs),
        (Tensor("memory", ("N", width, side, side)),),
    )
