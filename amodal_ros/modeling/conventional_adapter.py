# SPDX-License-Identifier: Apache-2.0
"""The conventional adapter of the ablations (paper, Table 4): no gating and no M_spec."""

from __future__ import annotations

import torch
from torch import nn

from amodal_ros.errors import InvalidInputError


class ConventionalAdapter(nn.Module):
    """Bottleneck of plain convolutions with a zero-initialised, residual output.

    Called exactly as :class:`~amodal_ros.modeling.sca.SpatialCompletionAdapter` is, so that one
    can stand for the other; the prior mask is accepted and not looked at.
    """

    def __init__(self, channels: int, *, prior_stride: int, hidden_dim: int = 64) -> None:
        """Build the adapter; its output equals its input until it is trained.

        Args:
            channels: Channels C of the encoder's features at this place.
            prior_stride: Kept for the common interface.
            hidden_dim: Width of the bottleneck.

        Raises:
            InvalidInputError: ``channels`` or ``hidden_dim`` is not positive.
        """
        super().__init__()
        if channels < 1 or hidden_dim < 1:
            raise InvalidInputError(
                f"channels and hidden_dim must be at least 1, got {channels} and {hidden_dim}"
            )
        self.channels = channels
        self.prior_stride = prior_stride
        self.hidden_dim = hidden_dim
        self.reduce = nn.Conv2d(channels, hidden_dim, kernel_size=1)
        self.mix = nn.Conv2d(hidden_dim, hidden_dim, kernel_size=3, padding=1)
        self.activation = nn.GELU()
        self.expand = nn.Conv2d(hidden_dim, channels, kernel_size=1)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(
        self, features: torch.Tensor, prior_masks: torch.Tensor, gain: torch.Tensor
    ) -> torch.Tensor:
        """Adapt the features of N objects.

        Args:
            features: ``(N, C, h, w)``, or ``(1, C, h, w)`` shared by all N objects.
            prior_masks: ``(N, 1, H, W)``; not used.
            gain: ``(N,)`` factor of the adapter's contribution; 0 returns the features.

        Returns:
            ``(N, C, h, w)``.
        """
        hidden = self.activation(self.mix(self.activation(self.reduce(features))))
        change = self.expand(hidden)
        return features + change * gain.view(-1, 1, 1, 1).to(change.dtype)
