# SPDX-License-Identifier: Apache-2.0
"""``memory_attention.onnx`` of SAM 2: an image's embeddings as its memory of an object sees them.

``SAM2Base._prepare_memory_conditioned_features`` but for the choice of what is remembered, which
is the caller's. ``sam2`` turns pairs of neighbouring channels as complex numbers (rotary
positions, Su et al., 2021, Eq. 34), which no engine knows. Here the projections' rows are
re-ordered, so that the first channels of all pairs come before the second ones; scores do not
change when queries and keys are re-ordered alike, and a rotation becomes four products with
constant sines and cosines.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from export.graphs.onnx_graph import Component, Tensor, export_component
from export.graphs.prepare import prepare


class MemoryAttentionGraph(nn.Module):
    """``embeddings, memories, memory_ages, object_pointers, pointer_ages -> embeddings``."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        attention = base.memory_attention
        side = int(base.sam_image_embedding_size)
        self.side, self.width = side, int(base.mem_dim)
        self.layers = attention.layers
        self.norm = attention.norm
        self.own = nn.ModuleList(RotaryAttention(x.self_attn, side) for x in self.layers)
        self.across = nn.ModuleList(RotaryAttention(x.cross_attn_image, side) for x in self.layers)
        blank = torch.zeros(1, base.hidden_dim, side, side)
        position = base.image_encoder.neck.position_encoding(blank).flatten(2).transpose(1, 2)
        self.register_buffer("position", position.contiguous())
        self.input_share = 0.1 if attention.pos_enc_at_input else 0.0
        place = base.memory_encoder.position_encoding(blank[:, : self.width])
        self.register_buffer("place", place.flatten(2).transpose(1, 2).unsqueeze(1).contiguous())
        self.register_buffer("time", base.maskmem_tpos_enc.detach().flatten(1).contiguous())
        self.age_width = 0
        if base.add_tpos_enc_to_obj_ptrs:
            projected = base.proj_tpos_enc_in_obj_ptrs
            self.age_width = int(base.hidden_dim) if projected else self.width
        self.age_projection = base.obj_ptr_tpos_proj
        self.oldest_pointer = int(base.max_obj_ptrs_in_encoder) - 1

    def forward(
        self,
        embeddings: torch.Tensor,
        memories: torch.Tensor,
        memory_ages: torch.Tensor,
        object_pointers: torch.Tensor,
        pointer_ages: torch.Tensor,
    ) -> torch.Tensor:
        """Condition an image on what is remembered of each of N objects.

        Args:
            embeddings: ``(N, C, s, s)`` from the suffix.
            memories: ``(N, M, K, s, s)`` from ``memory_encoder.onnx``.
            memory_ages: ``(N, M)``: place in SAM 2's window, 1 for the last frame, and
                ``num_maskmem`` for a prompted frame, whatever its age.
            object_pointers: ``(N, P, C)`` from ``memory_decoder.onnx``.
            pointer_ages: ``(N, P)``, frames since each.

        Returns:
            ``(N, C, s, s)``.
        """
        x = embeddings.flatten(2).transpose(1, 2) + self.input_share * self.position
        values = memories.flatten(3).transpose(2, 3)
        time = self.time[(memory_ages - 1).long()].unsqueeze(2)
        keys = values + self.place + time
        tokens = object_pointers.unflatten(2, (-1, self.width))
        keyed = (tokens + self._ages(pointer_ages)).flatten(1, 2)
        tokens = tokens.flatten(1, 2)
        for layer, own, across in zip(self.layers, self.own, self.across, strict=True):
            y = layer.norm1(x)
            asking = y + self.position if layer.pos_enc_at_attn else y
            x = x + own(asking, asking.unsqueeze(1), y.unsqueeze(1))
            y = layer.norm2(x)
            asking = y + self.position if layer.pos_enc_at_cross_attn_queries else y
            if layer.pos_enc_at_cross_attn_keys:
                x = x + across(asking, keys, values, keyed, tokens)
            else:
                x = x + across(asking, values, values, tokens, tokens)
            x = x + run_feed_forward(layer, layer.norm3(x))
        return self.norm(x).transpose(1, 2).unflatten(2, (self.side, self.side))

    def _ages(self, ages: torch.Tensor) -> torch.Tensor:
        """Position of each pointer in time: ``(N, P, 1, K)``."""
        if not self.age_width:
            return torch.zeros(1, 1, 1, self.width)
        encoded = sine_of_age(ages / self.oldest_pointer, self.age_width)
        return self.age_projection(encoded).unsqueeze(2)


def export_memory_attention(base: Any) -> Component:
    """Export with free numbers of objects N, remembered frames M and pointers P.

    Args:
        base: Official ``SAM2Base``, not prepared.
    """
    side, channels, width = int(base.sam_image_embedding_size), base.hidden_dim, base.mem_dim
    image = Tensor("embeddings", ("N", channels, side, side))
    return export_component(
        "memory_attention",
        prepare(MemoryAttentionGraph(base)),
        (
            torch.zeros(2, channels, side, side),
            torch.zeros(2, 3, width, side, side),
            torch.zeros(2, 3),
            torch.zeros(2, 5, channels),
            torch.zeros(2, 5),
        ),
        (
            image,
            Tensor("memories", ("N", "M", width, side, side)),
            Tensor("memory_ages", ("N", "M")),
            Tensor("object_pointers", ("N", "P", channels)),
            Tensor("pointer_ages", ("N", "P")),
        ),
        (Tensor("conditioned", image.shape),),
    )


class RotaryAttention(nn.Module):
    """``RoPEAttention`` of ``sam2``; keys may follow that are not rotated."""

    def __init__(self, attention: Any, side: int) -> None:
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
