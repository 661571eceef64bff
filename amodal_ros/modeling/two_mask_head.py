# SPDX-License-Identifier: Apache-2.0
"""Both masks of an object from one decoder pass: the whole object, and what is seen of it.

SAM's decoder makes a mask as the product of its upscaled features with a vector that a small
network computes from one of its mask tokens. The adapted features serve two such vectors: that of
the single-mask token, corrected, gives the amodal mask, and a second one the visible mask. Both
corrections come from the single-mask token and from the second of the three tokens that SAM has
for ambiguous prompts, which is in the sequence anyway: nothing is added to the transformer.
"""

from __future__ import annotations

import torch
from torch import nn

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
        """Build the head.

        Args:
            mask_channels: Channels of the decoder's upscaled features.
        """
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
