# SPDX-License-Identifier: Apache-2.0
"""``memory_encoder.onnx`` of SAM 2: a frame and its mask as a memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from export.graphs.onnx_graph import Component, Tensor, export_component
from export.graphs.prepare import prepare

MASK_SCALE = 4.0  # pixels of the input per low-resolution logit


class MemoryEncoderGraph(nn.Module):
    """``embeddings, low_res_logits, object_score -> memory``.

    Where ``sam2`` binarises the masks of prompted frames, a fourth input says which these are.
    """

    def __init__(self, base: Any) -> None:
        """Take over the weights of an official ``SAM2Base``."""
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
