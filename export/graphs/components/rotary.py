# SPDX-License-Identifier: Apache-2.0
"""SAM 2's attention with rotary positions in real numbers (Su et al., 2021, Eq. 34).

``sam2`` turns pairs of neighbouring channels as complex numbers, which no engine knows. Here the
projections' rows are re-ordered, so that the first channels of all pairs come before the second
ones; scores do not change when queries and keys are re-ordered alike, and a rotation becomes four
products with constant sines and cosines.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class RotaryAttention(nn.Module):
    """``RoPEAttention`` of ``sam2``; keys may follow that are not rotated."""

    def __init__(self, attention: Any, side: int) -> None:
        """Take over the official attention.

        Args:
            attention: ``RoPEAttention``.
            side: Cells per side of the image.
        """
        super().__init__()
        self.heads = int(attention.num_heads)
        width = int(attention.internal_dim) // self.heads
        self.scale = width**-0.5
        halves = torch.cat([torch.arange(0, width, 2), torch.arange(1, width, 2)])
        order = (torch.arange(self.heads)[:, None] * width + halves).flatten()
        self.query, self.key = (
            _reordered(attention.q_proj, order),
            _reordered(attention.k_proj, order),
        )
        self.value, self.out = attention.v_proj, attention.out_proj
        angles = attention.compute_cis(end_x=side, end_y=side)  # (cells, width / 2), complex
        self.register_buffer("cosine", angles.real.float().contiguous())
        self.register_buffer("sine", angles.imag.float().contiguous())

    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        """Turn ``(..., cells, width)`` by each cell's position."""
        first, second = x.split(self.cosine.shape[1], dim=-1)
        return torch.cat(
            [
                first * self.cosine - second * self.sine,
                first * self.sine + second * self.cosine,
            ],
            dim=-1,
        )

    def forward(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        *others: torch.Tensor,
    ) -> torch.Tensor:
        """Attend from an image to M maps and, if given, tokens without a place.

        Args:
            queries: ``(N, cells, C)``.
            keys: ``(N, M, cells, K)``.
            values: Likewise.
            others: Keys and values ``(N, T, K)`` that are not rotated.

        Returns:
            ``(N, cells, C)``.
        """
        q = self.rotate(self._split(self.query(queries)))
        k = self.key(keys).unflatten(3, (self.heads, -1)).permute(0, 3, 1, 2, 4)
        k = self.rotate(k).flatten(2, 3)
        v = self._split(self.value(values).flatten(1, 2))
        if others:
            k = torch.cat([k, self._split(self.key(others[0]))], dim=2)
            v = torch.cat([v, self._split(self.value(others[1]))], dim=2)
        weights = ((q * self.scale) @ k.transpose(2, 3)).softmax(dim=-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, T, heads * d)`` -> ``(N, heads, T, d)``."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


def _reordered(linear: nn.Linear, order: torch.Tensor) -> nn.Linear:
    """Copy a projection with its outputs in another order."""
    copied = nn.Linear(linear.in_features, linear.out_features)
    copied.weight = nn.Parameter(linear.weight.detach()[order].contiguous())
    copied.bias = nn.Parameter(linear.bias.detach()[order].contiguous())
    return copied


def sine_of_age(ages: torch.Tensor, width: int) -> torch.Tensor:
    """``get_1d_sine_pe`` of ``sam2``: ``(N, P)`` -> ``(N, P, width)``."""
    half = width // 2
    exponents = 2 * torch.div(torch.arange(half), 2, rounding_mode="floor").float() / half
    angles = ages.unsqueeze(2) / 10000.0**exponents
    return torch.cat([angles.sin(), angles.cos()], dim=2)


def run_feed_forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """The two linear layers of a ``MemoryAttentionLayer``."""
    hidden = layer.linear1(x)
    return layer.linear2(F.relu(hidden) if layer.activation_str == "relu" else F.gelu(hidden))
