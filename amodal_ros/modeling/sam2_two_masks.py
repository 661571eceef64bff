# SPDX-License-Identifier: Apache-2.0
"""SAM 2's mask decoder with a head for two masks; the official module stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.two_mask_head import SINGLE_TOKEN, TwoMaskHead


@dataclass(eq=False)
class SecondMask:
    """What hooks gathered while the decoder ran.

    Attributes:
        vector: ``(N, C)``, of the visible mask; None before the decoder has run.
        upscaled: ``(N, C, 4s, 4s)``, likewise.
    """

    vector: torch.Tensor | None = None
    upscaled: torch.Tensor | None = None

    def logits(self) -> torch.Tensor:
        """Return the visible mask's logits ``(N, 1, 4s, 4s)``.

        Raises:
            InvalidInputError: The decoder has not run.
        """
        if self.vector is None or self.upscaled is None:
            raise InvalidInputError("expected a decoder that has run, got none of its features")
        product = self.vector[:, None] @ self.upscaled.flatten(2)
        return product.unflatten(2, self.upscaled.shape[-2:])


@contextmanager
def two_masks_decoded(
    mask_decoder: nn.Module, head: TwoMaskHead | None, gain: torch.Tensor
) -> Iterator[SecondMask | None]:
    """Let the head correct the single mask, and gather the visible one, while the context lasts.

    Args:
        mask_decoder: SAM 2's official one.
        head: None: nothing happens.
        gain: ``(N,)``, of the head.

    Yields:
        Where the visible mask is found after the decoder has run; None without a head.
    """
    if head is None:
        yield None
        return
    decoder: Any = mask_decoder
    first = 2 if decoder.pred_obj_scores else 1  # of the mask tokens
    second = SecondMask()
    changes: list[torch.Tensor] = []

    def after_transformer(_: nn.Module, __: Any, output: Any) -> None:
        tokens = output[0][:, first : first + decoder.num_mask_tokens]
        changes[:] = head(tokens, gain).unbind(dim=1)

    def after_single_vector(_: nn.Module, __: Any, vector: torch.Tensor) -> torch.Tensor:
        second.vector = vector + changes[1]
        return vector + changes[0]

    def after_upscaling(_: nn.Module, __: Any, upscaled: torch.Tensor) -> None:
        second.upscaled = upscaled

    handles = [
        decoder.transformer.register_forward_hook(after_transformer),
        decoder.output_hypernetworks_mlps[SINGLE_TOKEN].register_forward_hook(after_single_vector),
        decoder.output_upscaling[-1].register_forward_hook(after_upscaling),
    ]
    try:
        yield second
    finally:
        for handle in handles:
            handle.remove()
