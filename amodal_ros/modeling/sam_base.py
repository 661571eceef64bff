# SPDX-License-Identifier: Apache-2.0
"""The official SAM (``segment_anything``) for any input size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import nn

PATCH_SIZE = 16
PROMPT_DIM = 256


@dataclass(frozen=True, kw_only=True)
class VitSpec:
    """Sizes of a SAM image encoder.

    Attributes:
        embed_dim: Channels of its tokens.
        depth: Number of blocks.
        num_heads: Attention heads of each block.
        global_blocks: Indices of the blocks with global attention; the others see windows.
    """

    embed_dim: int
    depth: int
    num_heads: int
    global_blocks: tuple[int, ...]

    def default_positions(self) -> tuple[int, ...]:
        """Return where a shallow, a middle and a deep adapter go (A.1.3): see the next lines.

        Each follows one of the first three global blocks: every token has then seen the whole
        image, and the quarter of the encoder before the first adapter is shared by all objects.
        """
        return tuple(index + 1 for index in self.global_blocks[:3])


VIT_SPECS = {
    "sam_vit_b": VitSpec(embed_dim=768, depth=12, num_heads=12, global_blocks=(2, 5, 8, 11)),
    "sam_vit_l": VitSpec(embed_dim=1024, depth=24, num_heads=16, global_blocks=(5, 11, 17, 23)),
    "sam_vit_h": VitSpec(embed_dim=1280, depth=32, num_heads=16, global_blocks=(7, 15, 23, 31)),
}


def build_sam(spec: VitSpec, image_size: int = 1024) -> Sam:
    """Build the official SAM with fresh weights.

    ``segment_anything``'s own builders know the size 1024 alone; at that size the names and
    shapes of all parameters are the same.

    Args:
        spec: Sizes of the image encoder.
        image_size: Side of the square input, a multiple of 16.
    """
    grid = image_size // PATCH_SIZE
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=image_size,
            patch_size=PATCH_SIZE,
            embed_dim=spec.embed_dim,
            depth=spec.depth,
            num_heads=spec.num_heads,
            mlp_ratio=4,
            out_chans=PROMPT_DIM,
            qkv_bias=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=14,
            global_attn_indexes=spec.global_blocks,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=PROMPT_DIM,
            image_embedding_size=(grid, grid),
            input_image_size=(image_size, image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=PROMPT_DIM,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=PROMPT_DIM, mlp_dim=2048, num_heads=8
            ),
        ),
    )
    return sam.eval()
