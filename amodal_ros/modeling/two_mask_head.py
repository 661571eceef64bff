# SPDX-License-Identifier: Apache-2.0
"""Both masks of an object from one decoder pass: the whole object, and what is seen of it.

SAM's decoder makes a mask as the product of its upscaled features with a vector that a small
network computes from one of its mask tokens. The adapted features serve two such vectors: that of
the single-mask token, corrected, gives the amodal mask, and a second one the visible mask. Both
corrections come from the single-mask token and from the second of the three tokens that SAM has
for ambiguous prompts, which is in the sequence anyway: nothing is added to the transformer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.config import AmodalConfig

HEAD_NAME = "two_masks"
SINGLE_TOKEN, SECOND_TOKEN = 0, 2  # among SAM's four mask tokens
_TOKEN_DIM = 256
_HIDDEN_DIM = 128


class TwoMaskHead(nn.Module):
    """What is added to the frozen vector of the single-mask token, for either mask.

    Its last layer starts at zero: until it is trained both masks are the base model's.
    """

    def __init__(self, mask_channels: int) -> None:
        super().__init__()
        self.mask_channels = mask_channels
        self.hidden = nn.Linear(2 * _TOKEN_DIM, _HIDDEN_DIM)
        self.expand = nn.Linear(_HIDDEN_DIM, 2 * mask_channels)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(self, mask_tokens: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        """Compute both corrections.

        Args:
            mask_tokens: ``(N, 4, 256)``, SAM's mask tokens after the decoder's transformer.
            gain: ``(N or 1,)`` factor; 0 gives exact zeros.

        Returns:
            ``(N, 2, mask_channels)``: of the amodal and of the visible mask's vector.
        """
        tokens = torch.cat([mask_tokens[:, SINGLE_TOKEN], mask_tokens[:, SECOND_TOKEN]], dim=-1)
        change = self.expand(torch.relu(self.hidden(tokens)))
        return change.unflatten(-1, (2, self.mask_channels)) * gain.view(-1, 1, 1).to(change.dtype)


def two_mask_heads(config: AmodalConfig, mask_channels: int) -> dict[str, nn.Module]:
    """Build the head by its name among the adapters, where ``config`` asks for it."""
    return {HEAD_NAME: TwoMaskHead(mask_channels)} if config.visible_output else {}


def two_mask_head(adapters: nn.ModuleDict) -> TwoMaskHead | None:
    """Return a model's head; None for a model that gives the amodal mask alone."""
    found = dict(adapters.items()).get(HEAD_NAME)  # a ModuleDict has no get
    return found if isinstance(found, TwoMaskHead) else None


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
