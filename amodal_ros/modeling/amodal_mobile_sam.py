# SPDX-License-Identifier: Apache-2.0
"""Amodal MobileSAM: MobileSAM's TinyViT with Spatial Completion Adapters (paper, 3.2, A.1.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mobile_sam.modeling import Sam
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
    DECODER_STRIDE,
    MASK_POSITION,
    MaskAdapter,
    adapter_name,
    adapters_in_decoder,
    mask_adapter,
)
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam, load_into
from amodal_ros.modeling.prompts import Prompts
from amodal_ros.modeling.sam_decoder import decode_objects
from amodal_ros.modeling.sca import SpatialCompletionAdapter, build_adapter
from amodal_ros.modeling.tiny_vit import AmodalTinyViT, adapter_steps, step_shape
from amodal_ros.modeling.two_mask_head import two_mask_heads

# Before the last stage, before its second block, and before the neck. ONNX Runtime spends 28 % of
# the encoder's time after the first of these (61 % after the start of the stage before it); the
# rest is computed once per image.
DEFAULT_POSITIONS = (10, 11, 12)


class AmodalMobileSam(AmodalModel):
    """``mobile_sam``'s model whose TinyViT completes what M_spec points at."""

    def __init__(self, config: AmodalConfig, base: Sam) -> None:
        """Put adapters into ``base``.

        Args:
            config: Kind, width and place of the adapters. Positions in the encoder are indices of
                the twelve blocks of its four stages (0, 2, 4 and 10 begin a stage), 12 the neck.
            base: The official model, built for ``config.image_size``, with its weights.

        Raises:
            InvalidInputError: There is no such position.
        """
        encoder: AmodalTinyViT | None = None
        adapters = nn.ModuleDict()
        if config.place == "decoder":
            adapters = adapters_in_decoder(config)
        else:
            encoder = AmodalTinyViT(
                base.image_encoder,
                _build_adapters(config, base),
                keeps_high_res=MASK_POSITION in config.decoder_positions,
            )
            adapters = nn.ModuleDict({**encoder.adapters, **_decoder_adapters(config, base)})
        adapters.update(two_mask_heads(config, DECODER_DIM // 8))
        # In a tuple, so that the parts it shares with `base` are not registered a second time.
        self._encoder = (encoder,)
        super().__init__(config, base, adapters)

    @property
    def encoder(self) -> AmodalTinyViT | None:
        """The adapted encoder; None where the adapters sit in the decoder."""
        return self._encoder[0]

    def prefix(self, images: torch.Tensor) -> Features:
        """Run the encoder before the first adapter.

        Args:
            images: ``(B, 3, S, S)`` float32, normalised and padded, input frame.

        Returns:
            One tensor ``(B, C, h, w)``; for ``place: decoder`` it is the embedding ``(B, 256,
            S / 16, S / 16)``. With an adapter of the mask a second one, ``(B, 64, S / 4, S / 4)``.
        """
        encoder = self._encoder[0]
        return (self._whole_encoder(images),) if encoder is None else encoder.prefix(images)

    def _whole_encoder(self, images: torch.Tensor) -> torch.Tensor:
        """``TinyViT.forward_features`` for any input size; it assumes 64 x 64 cells."""
        base: Any = self.base
        encoder = base.image_encoder
        tokens = encoder.patch_embed(images)
        for layer in encoder.layers:
            tokens = layer(tokens)
        side = encoder.layers[-1].input_resolution[0]
        return encoder.neck(tokens.transpose(1, 2).unflatten(2, (side, side)))

    def _suffix(
        self, features: Features, prior_masks: torch.Tensor, gain: torch.Tensor
    ) -> ObjectEmbeddings:
        encoder = self._encoder[0]
        if encoder is None:
            embeddings = features[0].expand(prior_masks.shape[0], -1, -1, -1)
        else:
            encoder.gradient_checkpointing = self.gradient_checkpointing
            embeddings = encoder.suffix(features[0], prior_masks, gain)
        adapter = mask_adapter(self.adapters)
        maps = () if adapter is None else (adapter.reduce_image(features[1]),)
        return ObjectEmbeddings(embeddings, maps, prior_masks, gain)

    def decode(
        self,
        embeddings: ObjectEmbeddings,
        prompts: Prompts,
        *,
        multimask_output: bool = False,
    ) -> MaskPrediction:
        """Decode N objects with MobileSAM's frozen prompt encoder and mask decoder."""
        return decode_objects(
            self.base, self.adapters, embeddings, prompts, multimask_output=multimask_output
        )

    @classmethod
    def from_state(
        cls, config: AmodalConfig, state: Mapping[str, torch.Tensor]
    ) -> AmodalMobileSam:
        """Build the model on base weights, in evaluation mode."""
        base = build_mobile_sam(config.image_size)
        load_into(base, state)
        return cls(config, base).eval()


def _decoder_adapters(config: AmodalConfig, base: Sam) -> dict[str, nn.Module]:
    """Build those that stand beside adapters in the encoder."""
    adapters: dict[str, nn.Module] = {}
    for position in config.decoder_positions:
        if position == MASK_POSITION:
            adapters[adapter_name(position)] = MaskAdapter(
                DECODER_DIM // 8,
                base.image_encoder.layers[0].dim,
                hidden_dim=(config.hidden_dim or 0) // 2,
                iterations=config.iterations,
                masks=2 if config.visible_output else 1,
            )
        else:
            adapters[adapter_name(position)] = SpatialCompletionAdapter(
                DECODER_DIM,
                prior_stride=DECODER_STRIDE,
                hidden_dim=config.hidden_dim,
                iterations=config.iterations,
                dilated=True,
            )
    return adapters


def _build_adapters(config: AmodalConfig, base: Sam) -> dict[str, nn.Module]:
    steps = adapter_steps(base.image_encoder)
    adapters = {}
    for position in config.positions or DEFAULT_POSITIONS:
        if not 0 <= position < len(steps):
            raise InvalidInputError(
                f"positions must be block indices 0 to {len(steps) - 2} of {config.base}, or "
                f"{len(steps) - 1} for the neck, got {config.positions}"
            )
        channels, stride = step_shape(base.image_encoder, steps[position])
        adapters[steps[position]] = build_adapter(config, position, channels, stride)
    return adapters
