# SPDX-License-Identifier: Apache-2.0
"""Amodal SAM: the ViT encoders of SAM with Spatial Completion Adapters (paper, 3.2, A.1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import nn

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_model import (
    AmodalModel,
    Features,
    MaskPrediction,
    ObjectEmbeddings,
)
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.decoder_adapters import (
    DECODER_DIM,
    adapters_in_decoder,
)
from amodal_ros.modeling.prompts import Prompts
from amodal_ros.modeling.sam_decoder import decode_objects
from amodal_ros.modeling.sca import build_adapter
from amodal_ros.modeling.two_mask_head import two_mask_heads

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


class AmodalSam(AmodalModel):
    """``segment_anything``'s SAM whose image encoder completes what M_spec points at.

    The blocks before the first adapter are the prefix; the others and the neck the suffix.
    """

    def __init__(self, config: AmodalConfig, base: Sam, positions: tuple[int, ...]) -> None:
        """Put adapters into ``base``.

        Args:
            config: Kind and width of the adapters, and whether they sit in the encoder.
            base: The official model, built for ``config.image_size``.
            positions: Blocks before which the encoder's adapters sit, where ``config`` names none.

        Raises:
            InvalidInputError: A position is not that of a block.
        """
        adapters = nn.ModuleDict()
        depth = len(base.image_encoder.blocks)
        self._first = depth
        self._positions: tuple[int, ...] = ()
        if config.place == "decoder":
            adapters = adapters_in_decoder(config)
        else:
            positions = config.positions or positions
            if positions[0] < 0 or positions[-1] >= depth:
                raise InvalidInputError(
                    f"positions must be block indices 0 to {depth - 1} of {config.base}, "
                    f"got {positions}"
                )
            channels = base.image_encoder.patch_embed.proj.out_channels
            for position in positions:
                adapters[f"block_{position}"] = build_adapter(
                    config, position, channels, PATCH_SIZE
                )
            self._first, self._positions = positions[0], positions
        adapters.update(two_mask_heads(config, DECODER_DIM // 8))
        super().__init__(config, base, adapters)

    def prefix(self, images: torch.Tensor) -> Features:
        """Run the blocks before the first adapter.

        Args:
            images: ``(B, 3, S, S)`` float32, normalised and padded, input frame.

        Returns:
            One tensor, ``(B, C, S / 16, S / 16)``; for adapters in the decoder it is the
            embedding ``(B, 256, S / 16, S / 16)``.
        """
        base: Any = self.base
        encoder = base.image_encoder
        tokens = encoder.patch_embed(images)
        if encoder.pos_embed is not None:
            tokens = tokens + encoder.pos_embed
        for block in encoder.blocks[: self._first]:
            tokens = self._run(block, tokens)
        features = tokens.permute(0, 3, 1, 2)
        if not self._positions:
            features = encoder.neck(features)
        return (features,)

    def _suffix(
        self, features: Features, prior_masks: torch.Tensor, gain: torch.Tensor
    ) -> ObjectEmbeddings:
        base: Any = self.base
        encoder = base.image_encoder
        (image_map,) = features
        if not self._positions:
            embeddings = image_map.expand(prior_masks.shape[0], -1, -1, -1)
            return ObjectEmbeddings(embeddings, (), prior_masks, gain)
        tokens = image_map.permute(0, 2, 3, 1)
        for index in range(self._first, len(encoder.blocks)):
            if index in self._positions:
                adapter = self.adapters[f"block_{index}"]
                image_map = self._run(adapter, tokens.permute(0, 3, 1, 2), prior_masks, gain)
                tokens = image_map.permute(0, 2, 3, 1)
            tokens = self._run(encoder.blocks[index], tokens)
        return ObjectEmbeddings(encoder.neck(tokens.permute(0, 3, 1, 2)), (), prior_masks, gain)

    def decode(
        self,
        embeddings: ObjectEmbeddings,
        prompts: Prompts,
        *,
        multimask_output: bool = False,
    ) -> MaskPrediction:
        """Decode N objects with SAM's frozen prompt encoder and mask decoder."""
        return decode_objects(
            self.base, self.adapters, embeddings, prompts, multimask_output=multimask_output
        )
