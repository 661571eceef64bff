# SPDX-License-Identifier: Apache-2.0
"""The interface that every amodal segmenter of the family shares (paper, Eq. 4).

``M = F_dec(F_prompt(B), F_a-enc(I, M_spec))``. The adapted encoder is cut before its first
adapter: :meth:`AmodalModel.prefix` runs once per image and :meth:`AmodalModel.suffix` once per
object. ``N`` objects of ``B`` images travel as one flat batch with the index of their image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.prompts import Prompts

Features = tuple[torch.Tensor, ...]

# Of all members of the family, RGB, range 0 to 255.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True, eq=False)
class ObjectEmbeddings:
    """What the adapted encoder computed for N objects; the input of the decoder.

    Attributes:
        embeddings: ``(N, 256, s, s)``, ``s`` a sixteenth of the image size.
        high_res: SAM 2's two maps for the decoder, ``(N or 1, 32, 4s, 4s)`` and
            ``(N or 1, 64, 2s, 2s)``; MobileSAM's one for an adapter of the mask, ``(N or 1,
            hidden_dim, 4s, 4s)``; otherwise empty.
        prior_masks: M_spec ``(N, 1, S, S)``, for adapters that sit in the decoder.
        adapter_gain: ``(N,)``, likewise.
    """

    embeddings: torch.Tensor
    high_res: Features
    prior_masks: torch.Tensor
    adapter_gain: torch.Tensor

    def row(self, row: int) -> ObjectEmbeddings:
        """Take one object; a high-resolution map that all objects share has batch 1."""
        rows = slice(row, row + 1)
        return ObjectEmbeddings(
            self.embeddings[rows],
            tuple(m if len(m) == 1 else m[rows] for m in self.high_res),
            self.prior_masks[rows],
            self.adapter_gain[rows],
        )


@dataclass(frozen=True, eq=False)
class MaskPrediction:
    """Decoded masks of N objects; M = 1 (single-mask token) or 3 (multimask).

    Attributes:
        low_res_logits: ``(N, M, 4s, 4s)``; positive inside the mask, input frame.
        predicted_iou: ``(N, M)``, the decoder's own estimate.
        embeddings: What was decoded; Eq. 9 looks at it.
        visible_logits: ``(N, 1, 4s, 4s)``, of what is seen, from the same pass; None for a model
            without ``visible_output``. With gain 0 they are the single mask's.
    """

    low_res_logits: torch.Tensor
    predicted_iou: torch.Tensor
    embeddings: ObjectEmbeddings
    visible_logits: torch.Tensor | None = None


class AmodalModel(nn.Module, ABC):
    """A frozen base model with trainable adapters.

    Attributes:
        config: What the model is made of.
        base: The official model, whole, with its own names of parameters.
        adapters: The adapters by name; the only thing that is trained, unless unfrozen.
        gradient_checkpointing: Recompute the adapted blocks in the backward pass instead of
            keeping their activations. Set it to train at 1024 x 1024 on one GPU.
    """

    def __init__(self, config: AmodalConfig, base: nn.Module, adapters: nn.ModuleDict) -> None:
        """Freeze the base model but for the parts that ``config`` unfreezes.

        Raises:
            InvalidInputError: ``config`` unfreezes a part that this base model has not.
        """
        super().__init__()
        self.config = config
        self.base = base
        self.adapters = adapters
        self.gradient_checkpointing = False
        parts = self.base_parts()
        missing = [part for part in config.unfrozen if part not in parts]
        if missing:
            raise InvalidInputError(
                f"{config.base} has no part {', '.join(missing)} to unfreeze; "
                f"it has {', '.join(parts)}"
            )
        self.base.requires_grad_(False)
        for part in config.unfrozen:
            for module in parts[part]:
                module.requires_grad_(True)
        self.train(self.training)

    def base_parts(self) -> dict[str, list[nn.Module]]:
        """Return the base model's modules by the names of ``AmodalConfig.unfrozen``."""
        base: Any = self.base
        return {
            "image_encoder": [base.image_encoder],
            "prompt_encoder": [base.prompt_encoder],
            "mask_decoder": [base.mask_decoder],
        }

    @abstractmethod
    def prefix(self, images: torch.Tensor) -> Features:
        """Compute what does not depend on the objects.

        Args:
            images: ``(B, 3, S, S)`` float32, normalised, input frame.

        Returns:
            Tensors of batch B: the features before the first adapter, then what later parts of
            the network need from the blocks before them.
        """

    @abstractmethod
    def _suffix(
        self, features: Features, prior_masks: torch.Tensor, gain: torch.Tensor
    ) -> ObjectEmbeddings:
        """Compute :meth:`suffix` for features of batch N or 1."""

    @abstractmethod
    def decode(
        self,
        embeddings: ObjectEmbeddings,
        prompts: Prompts,
        *,
        multimask_output: bool = False,
    ) -> MaskPrediction:
        """Decode the masks of N objects (``F_dec`` and ``F_prompt`` of Eq. 4).

        Args:
            embeddings: Of N objects.
            prompts: From :meth:`build_prompts`, of the same N objects.
            multimask_output: Return three masks for an ambiguous prompt instead of one.
        """

    def geometry(self, original_hw: tuple[int, int]) -> ResizeGeometry:
        """Return how an image of this (height, width) lies in the model's input."""
        return ResizeGeometry.letterbox(original_hw, self.config.image_size)

    def build_prompts(
        self,
        *,
        boxes_xyxy: torch.Tensor | None = None,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
    ) -> Prompts:
        """Encode boxes, points, or both, as the official predictor of this family does.

        Args:
            boxes_xyxy: ``(N, 4)``, pixels of the input frame.
            points: ``(N, K, 2)``, pixels of the input frame.
            point_labels: ``(N, K)``: 1 inside the object, 0 outside it, -1 padding.

        Raises:
            InvalidInputError: Nothing was given, or sizes disagree.
        """
        return Prompts.build(boxes_xyxy=boxes_xyxy, points=points, point_labels=point_labels)

    def suffix(
        self,
        features: Features,
        prior_masks: torch.Tensor,
        adapter_gain: torch.Tensor | None = None,
        *,
        image_index: torch.Tensor | None = None,
    ) -> ObjectEmbeddings:
        """Complete the features for N objects (``F_a-enc`` of Eq. 4 after the first adapter).

        Args:
            features: From :meth:`prefix`.
            prior_masks: M_spec, ``(N, 1, S, S)`` float in [0, 1], input frame.
            adapter_gain: ``(N,)``: 1 is the amodal model (default), 0 the base model exactly.
            image_index: ``(N,)`` int64, the image of each object. May be left out for one image,
                or when object i belongs to image i.

        Raises:
            InvalidInputError: Shapes do not fit.
        """
        if not torch.compiler.is_compiling() and not torch.jit.is_tracing():
            self._check_objects(features, prior_masks, adapter_gain, image_index)
        if adapter_gain is None:
            adapter_gain = prior_masks.new_ones(prior_masks.shape[0])
        if image_index is not None:
            features = tuple(f[image_index] for f in features)
        return self._suffix(features, prior_masks, adapter_gain)

    def forward(
        self,
        images: torch.Tensor,
        prior_masks: torch.Tensor,
        prompts: Prompts,
        *,
        image_index: torch.Tensor | None = None,
        adapter_gain: torch.Tensor | None = None,
        multimask_output: bool = False,
    ) -> MaskPrediction:
        """Predict the amodal masks of N objects in B images (Eq. 4); see the parts."""
        embeddings = self.suffix(
            self.prefix(images), prior_masks, adapter_gain, image_index=image_index
        )
        return self.decode(embeddings, prompts, multimask_output=multimask_output)

    def train(self, mode: bool = True) -> AmodalModel:
        """Set the training mode; frozen parts of the base model stay in evaluation mode."""
        super().train(mode)
        self.base.train(False)
        for part in self.config.unfrozen:
            for module in self.base_parts()[part]:
                module.train(mode)
        return self

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """Return what training changes, by name: what a checkpoint of ours holds."""
        trained = {name for name, p in self.named_parameters() if p.requires_grad}
        return {
            name: value
            for name, value in self.state_dict().items()
            if name in trained or name.startswith("adapters.")
        }

    def _run(self, block: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        """Call a block, under gradient checkpointing where that is on and of use."""
        if (
            self.gradient_checkpointing
            and torch.is_grad_enabled()
            and any(tensor.requires_grad for tensor in inputs)
        ):
            result: torch.Tensor = checkpoint(block, *inputs, use_reentrant=False)
            return result
        return block(*inputs)

    def _check_objects(
        self,
        features: Features,
        prior_masks: torch.Tensor,
        adapter_gain: torch.Tensor | None,
        image_index: torch.Tensor | None,
    ) -> None:
        size, count, images = self.config.image_size, len(prior_masks), len(features[0])
        if count == 0 or tuple(prior_masks.shape[1:]) != (1, size, size):
            raise InvalidInputError(
                f"prior_masks must be (N, 1, {size}, {size}) with N at least 1, "
                f"got {tuple(prior_masks.shape)}"
            )
        for name, value in (("adapter_gain", adapter_gain), ("image_index", image_index)):
            if value is not None and tuple(value.shape) != (count,):
                raise InvalidInputError(f"{name} must be ({count},), got {tuple(value.shape)}")
        if image_index is None and images not in (1, count):
            raise InvalidInputError(
                f"image_index is needed for {count} objects in {images} images"
            )
