# SPDX-License-Identifier: Apache-2.0
"""Amodal MobileSAM behind the interface that the whole family shares."""

from __future__ import annotations

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
    build_adapter,
)
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.decoder_adapters import (
    DECODER_DIM,
    DECODER_STRIDE,
    adapted_transformer,
    adapter_name,
    decoder_positions,
)
from amodal_ros.modeling.prompts import Prompts
from amodal_ros.modeling.sam_decoder import decode_masks
from amodal_ros.modeling.tiny_vit import AmodalTinyViT, place_shape, resolve_place

PLACES = {1: "layers.1", 2: "layers.2", 3: "layers.3", 4: "neck"}
DEFAULT_POSITIONS = (2, 3, 4)


class AmodalMobileSamModel(AmodalModel):
    """``mobile_sam``'s model whose TinyViT completes what M_spec points at."""

    def __init__(self, config: AmodalConfig, base: Sam) -> None:
        """Put adapters into ``base``.

        Args:
            config: Kind, width and place of the adapters.
            base: The official model, built for ``config.image_size``, with its weights.

        Raises:
            InvalidInputError: A position is none of :data:`PLACES`.
        """
        encoder: AmodalTinyViT | None = None
        adapters = nn.ModuleDict()
        if config.place == "decoder":
            for position in decoder_positions(config):
                adapters[adapter_name(position)] = build_adapter(
                    config, DECODER_DIM, DECODER_STRIDE
                )
        else:
            encoder = AmodalTinyViT(base.image_encoder, _build_adapters(config, base))
            adapters = encoder.adapters
        # In a tuple, so that the parts it shares with `base` are not registered a second time.
        self._encoder = (encoder,)
        super().__init__(config, base, adapters)

    def base_parts(self) -> dict[str, list[nn.Module]]:
        """Return the parts of MobileSAM by the names of ``AmodalConfig.unfrozen``."""
        base: Any = self.base
        return {
            "image_encoder": [base.image_encoder],
            "prompt_encoder": [base.prompt_encoder],
            "mask_decoder": [base.mask_decoder],
        }

    def prefix(self, images: torch.Tensor) -> Features:
        """Run the encoder before the first adapter.

        Args:
            images: ``(B, 3, S, S)`` float32, normalised and padded, input frame.

        Returns:
            One tensor ``(B, C, h, w)``; for adapters in the decoder it is the embedding
            ``(B, 256, S / 16, S / 16)``.
        """
        encoder = self._encoder[0]
        return (self._whole_encoder(images) if encoder is None else encoder.prefix(images),)

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
            embeddings = features[0].expand(len(prior_masks), -1, -1, -1)
        else:
            encoder.gradient_checkpointing = self.gradient_checkpointing
            embeddings = encoder.suffix(features[0], prior_masks, gain)
        return ObjectEmbeddings(embeddings, (), prior_masks, gain)

    def decode(
        self,
        embeddings: ObjectEmbeddings,
        prompts: Prompts,
        *,
        multimask_output: bool = False,
    ) -> MaskPrediction:
        """Decode N objects with MobileSAM's frozen prompt encoder and mask decoder."""
        base: Any = self.base
        with adapted_transformer(
            base.mask_decoder.transformer,
            self.adapters,
            embeddings.prior_masks,
            embeddings.adapter_gain,
        ):
            logits, predicted_iou = decode_masks(
                base.prompt_encoder,
                base.mask_decoder,
                embeddings.embeddings,
                prompts,
                multimask_output=multimask_output,
            )
        return MaskPrediction(logits, predicted_iou, embeddings)


def _build_adapters(config: AmodalConfig, base: Sam) -> dict[str, nn.Module]:
    positions = config.positions or DEFAULT_POSITIONS
    if not set(positions) <= set(PLACES):
        raise InvalidInputError(f"positions in TinyViT are {sorted(PLACES)}, got {positions}")
    adapters = {}
    for position in positions:
        step = resolve_place(base.image_encoder, PLACES[position])
        channels, stride = place_shape(base.image_encoder, step)
        adapters[step] = build_adapter(config, channels, stride)
    return adapters
