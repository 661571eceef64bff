# SPDX-License-Identifier: Apache-2.0
"""Amodal SAM 2: the Hiera encoders of SAM 2 and 2.1 with adapters (paper, 3.5, A.1.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.modeling.amodal_model import (
    AmodalModel,
    Features,
    MaskPrediction,
    ObjectEmbeddings,
)
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.decoder_adapters import (
    DECODER_DIM,
    adapted_transformer,
    adapters_in_decoder,
)
from amodal_ros.modeling.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PADDING, Prompts
from amodal_ros.modeling.sam2_base import STAGES, STRIDES, HieraLayout
from amodal_ros.modeling.sca import build_adapter
from amodal_ros.modeling.two_mask_head import (
    SecondMask,
    two_mask_head,
    two_mask_heads,
    two_masks_decoded,
)

if TYPE_CHECKING:
    from sam2.modeling.sam2_base import SAM2Base


class AmodalSam2(AmodalModel):
    """``sam2``'s model whose Hiera completes what M_spec points at.

    Adapters from the second stage on (``positions=(2, 3, 4)``) leave the first stage, at the
    highest resolution, and its high-resolution map to the prefix.
    """

    def __init__(self, config: AmodalConfig, base: SAM2Base) -> None:
        """Put adapters into ``base``.

        Raises:
            InvalidInputError: A position is no stage, or the base's neck is not SAM 2's.
        """
        layout = HieraLayout.of(base.image_encoder.trunk)
        _check_neck(base.image_encoder)
        adapters = nn.ModuleDict()
        stages: dict[int, int] = {}
        if config.place == "decoder":
            adapters = adapters_in_decoder(config)
        else:
            for stage, block in layout.stages_with_adapter(config.positions or STAGES):
                adapters[f"stage_{stage}"] = build_adapter(
                    config, stage, layout.channels[stage - 1], STRIDES[stage - 1]
                )
                stages[block] = stage
        adapters.update(two_mask_heads(config, DECODER_DIM // 8))
        self._layout = layout
        self._stage_at_block = stages
        self._first = min(stages, default=layout.last_blocks[-1] + 1)
        super().__init__(config, base, adapters)

    def base_parts(self) -> dict[str, list[nn.Module]]:
        """Return the parts of SAM 2 by the names of ``AmodalConfig.unfrozen``."""
        base: Any = self.base
        return {
            "image_encoder": [base.image_encoder],
            "prompt_encoder": [base.sam_prompt_encoder],
            "mask_decoder": [base.sam_mask_decoder],
            "memory": [base.memory_attention, base.memory_encoder],
        }

    def geometry(self, original_hw: tuple[int, int]) -> ResizeGeometry:
        """Return how an image of this (height, width) lies in the input: SAM 2 stretches it."""
        return ResizeGeometry.stretch(original_hw, self.config.image_size)

    def build_prompts(
        self,
        *,
        boxes_xyxy: torch.Tensor | None = None,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
    ) -> Prompts:
        """Encode boxes, points, or both; SAM 2 puts boxes first and always pads with one point."""
        prompts = Prompts.build(boxes_xyxy=boxes_xyxy, points=points, point_labels=point_labels)
        if boxes_xyxy is None:
            return prompts
        coords = boxes_xyxy.float().reshape(-1, 2, 2)
        labels = coords.new_tensor([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]).expand(len(coords), 2)
        if points is not None and point_labels is not None:
            coords = torch.cat([coords, points.float()], dim=1)
            labels = torch.cat([labels, point_labels.float()], dim=1)
        return Prompts(F.pad(coords, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=PADDING))

    def prefix(self, images: torch.Tensor) -> Features:
        """Run the blocks before the first adapter.

        Args:
            images: ``(B, 3, S, S)`` float32, normalised, input frame (stretched).

        Returns:
            The features ``(B, C, h, w)`` before the first adapter, then the neck's map of each
            stage that ended before it: that of stage 1 as the decoder's ``(B, 32, S / 4, S / 4)``,
            of stage 2 as its ``(B, 64, S / 8, S / 8)``, of stage 3 ``(B, 256, S / 16, S / 16)``.
            For adapters in the decoder the features are the neck's finished embedding.
        """
        base: Any = self.base
        trunk = base.image_encoder.trunk
        tokens = trunk.patch_embed(images)
        tokens = tokens + trunk._get_pos_embed(tokens.shape[1:3])
        laterals: list[torch.Tensor] = []
        for index in range(self._first):
            tokens = self._run(trunk.blocks[index], tokens)
            self._collect(index, tokens, laterals)
        if self._stage_at_block:
            return (tokens.permute(0, 3, 1, 2), *laterals)
        return self._top_down(laterals)

    def _suffix(
        self, features: Features, prior_masks: torch.Tensor, gain: torch.Tensor
    ) -> ObjectEmbeddings:
        base: Any = self.base
        blocks = base.image_encoder.trunk.blocks
        image_map, *laterals = features
        if not self._stage_at_block:
            embeddings = image_map.expand(prior_masks.shape[0], -1, -1, -1)
            return ObjectEmbeddings(embeddings, tuple(laterals), prior_masks, gain)
        tokens = image_map.permute(0, 2, 3, 1)
        for index in range(self._first, len(blocks)):
            if index in self._stage_at_block:
                adapter = self.adapters[f"stage_{self._stage_at_block[index]}"]
                image_map = self._run(adapter, tokens.permute(0, 3, 1, 2), prior_masks, gain)
                tokens = image_map.permute(0, 2, 3, 1)
            tokens = self._run(blocks[index], tokens)
            self._collect(index, tokens, laterals)
        embeddings, *high_res = self._top_down(laterals)
        return ObjectEmbeddings(embeddings, tuple(high_res), prior_masks, gain)

    def _collect(self, index: int, tokens: torch.Tensor, laterals: list[torch.Tensor]) -> None:
        """Keep the neck's map of a stage at its end; see :meth:`prefix` for the shapes."""
        stage = self._layout.stage_ending_at(index)
        if stage is None:
            return
        base: Any = self.base
        lateral = base.image_encoder.neck.convs[len(STAGES) - stage](tokens.permute(0, 3, 1, 2))
        if stage == 1:
            lateral = base.sam_mask_decoder.conv_s0(lateral)
        elif stage == 2:
            lateral = base.sam_mask_decoder.conv_s1(lateral)
        laterals.append(lateral)

    def _top_down(self, laterals: list[torch.Tensor]) -> Features:
        """Finish the neck: add stage 4, enlarged, to stage 3; the others stay as they are."""
        high_res_0, high_res_1, stage_3, stage_4 = laterals
        base: Any = self.base
        enlarged = F.interpolate(
            stage_4.float(), scale_factor=2.0, mode=base.image_encoder.neck.fpn_interp_model
        )
        return (stage_3 + enlarged, high_res_0, high_res_1)

    def decode(
        self,
        embeddings: ObjectEmbeddings,
        prompts: Prompts,
        *,
        multimask_output: bool = False,
    ) -> MaskPrediction:
        """Decode N objects of single images, as ``SAM2ImagePredictor`` does: without memory."""
        base: Any = self.base
        image = embeddings.embeddings
        if base.directly_add_no_mem_embed:
            image = image + base.no_mem_embed.view(1, -1, 1, 1)
        encoder = base.sam_prompt_encoder
        sparse = encoder._embed_points(prompts.coords, prompts.labels, pad=False)
        dense = encoder.no_mask_embed.weight.view(1, -1, 1, 1)
        with self.decoder_adapted(embeddings) as second:
            logits, predicted_iou, _, _ = base.sam_mask_decoder(
                image_embeddings=image,
                image_pe=encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask_output,
                repeat_image=False,
                high_res_features=list(embeddings.high_res),
            )
        visible = None if second is None else second.logits()
        return MaskPrediction(logits, predicted_iou, embeddings, visible)

    @contextmanager
    def decoder_adapted(self, embeddings: ObjectEmbeddings) -> Iterator[SecondMask | None]:
        """Let adapters that sit in the decoder see these objects while the context lasts.

        Yields:
            Where the visible mask is found after the decoder has run; None for a model without.
        """
        base: Any = self.base
        decoder, gain = base.sam_mask_decoder, embeddings.adapter_gain
        with (
            adapted_transformer(decoder.transformer, self.adapters, embeddings.prior_masks, gain),
            two_masks_decoded(decoder, two_mask_head(self.adapters), gain) as second,
        ):
            yield second


def _check_neck(image_encoder: Any) -> None:
    neck = image_encoder.neck
    found = (neck.fpn_top_down_levels, neck.fuse_type, neck.fpn_interp_model, image_encoder.scalp)
    expected = ([2, 3], "sum", "nearest", 1)
    if found != expected:
        raise InvalidInputError(
            f"expected SAM 2's neck (top-down levels, fusion, interpolation, scalp) {expected}, "
            f"got {found}"
        )
