# SPDX-License-Identifier: Apache-2.0
"""The two-way transformer and the upscaling of SAM's and SAM 2's mask decoder, re-associated.

In a cross attention between a few tokens and thousands of image cells, the official code projects
every cell; folding each head's projection into the tokens gives the same scores and sums from
matrices of ``heads * tokens`` columns. Transposed convolutions of kernel and stride 2 are matrix
products, so cells stay rows from the input to the logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class TokenToImage(nn.Module):
    """SAM's attention of T tokens to all image cells, with folded projections.

    A key bias adds the same to all scores of a token, which softmax takes away; a value bias
    passes the weighted mean, whose weights sum to one, unchanged.
    """

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.heads = attention.num_heads
        self.query, self.out = attention.q_proj, attention.out_proj
        width = attention.internal_dim // self.heads
        key = attention.k_proj.weight.detach().reshape(1, self.heads, width, -1)
        value = attention.v_proj.weight.detach().reshape(1, self.heads, width, -1)
        self.register_buffer("key", (key / math.sqrt(width)).contiguous())
        self.register_buffer("value", value.transpose(2, 3).contiguous())
        bias = attention.v_proj.bias.detach().reshape(1, self.heads, 1, width)
        self.register_buffer("value_bias", bias.contiguous())

    def forward(
        self, tokens: torch.Tensor, cells_with_position: torch.Tensor, cells: torch.Tensor
    ) -> torch.Tensor:
        """Attend from ``(N, T, C)`` to ``(N or 1, cells, C)`` -> ``(N, T, C)``."""
        count = tokens.shape[1]
        query = self.query(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
        folded = (query @ self.key).flatten(1, 2)
        weights = (folded @ cells_with_position.transpose(1, 2)).softmax(dim=-1)
        mean = (weights @ cells).unflatten(1, (self.heads, count))
        values = mean @ self.value + self.value_bias
        return self.out(values.transpose(1, 2).flatten(2))


class ImageToToken(nn.Module):
    """SAM's attention of all image cells to T tokens, with folded projections."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.heads = attention.num_heads
        self.key, self.value = attention.k_proj, attention.v_proj
        width = attention.internal_dim // self.heads
        scale = 1.0 / math.sqrt(width)
        query = attention.q_proj.weight.detach().reshape(1, self.heads, width, -1)
        bias = attention.q_proj.bias.detach().reshape(1, self.heads, width, 1)
        out = attention.out_proj.weight.detach().T.reshape(1, self.heads, width, -1)
        self.register_buffer("query", (query * scale).contiguous())
        self.register_buffer("query_bias", (bias * scale).contiguous())
        self.register_buffer("out", out.contiguous())
        self.register_buffer("out_bias", attention.out_proj.bias.detach().clone())

    def forward(
        self, cells: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """Attend from ``(N or 1, cells, C)`` to ``(N, T, C)`` -> ``(N, cells, C)``."""
        count = keys.shape[1]
        key = self.key(keys).unflatten(2, (self.heads, -1)).transpose(1, 2)
        folded = (key @ self.query).flatten(1, 2)
        offset = (key @ self.query_bias).flatten(1).unsqueeze(1)
        scores = cells @ folded.transpose(1, 2) + offset
        weights = scores.unflatten(2, (self.heads, count)).softmax(dim=-1).flatten(2)
        value = self.value(values).unflatten(2, (self.heads, -1)).transpose(1, 2)
        return weights @ (value @ self.out).flatten(1, 2) + self.out_bias


class TwoWay(nn.Module):
    """``TwoWayTransformer`` on cells as rows, for the tokens that are asked for."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.layers = transformer.layers
        self.to_image = nn.ModuleList(
            TokenToImage(layer.cross_attn_token_to_image) for layer in self.layers
        )
        self.to_tokens = nn.ModuleList(
            ImageToToken(layer.cross_attn_image_to_token) for layer in self.layers
        )
        self.last_to_image = TokenToImage(transformer.final_attn_token_to_image)
        self.last_norm = transformer.norm_final_attn

    def forward(
        self,
        prompts: torch.Tensor,
        cells: torch.Tensor,
        position: torch.Tensor,
        used: int,
        adapt: Callable[[int, torch.Tensor], torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run all layers.

        Args:
            prompts: Tokens ``(N, T, C)``.
            cells: ``(N or 1, cells, C)``.
            position: ``(1, cells, C)``.
            used: How many of the first tokens are asked for.
            adapt: Called with the number of each layer, and with that of the layers in the end,
                and the cells at that place; returns the cells to go on with.

        Returns:
            Tokens ``(N, used, C)`` and cells ``(N, cells, C)``.
        """
        adapt = adapt or _unadapted
        tokens = prompts
        cells = adapt(0, cells)
        positioned = cells + position
        for number, (layer, to_image, to_tokens) in enumerate(
            zip(self.layers, self.to_image, self.to_tokens, strict=True), start=1
        ):
            if layer.skip_first_layer_pe:
                tokens = layer.self_attn(q=tokens, k=tokens, v=tokens)
            else:
                asking = tokens + prompts
                tokens = tokens + layer.self_attn(q=asking, k=asking, v=tokens)
            tokens = layer.norm1(tokens)
            tokens = layer.norm2(tokens + to_image(tokens + prompts, positioned, cells))
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            cells = layer.norm4(cells + to_tokens(positioned, tokens + prompts, tokens))
            cells = adapt(number, cells)
            positioned = cells + position
        asked = (tokens + prompts)[:, :used]
        attended = self.last_to_image(asked, positioned, cells)
        return self.last_norm(tokens[:, :used] + attended), cells


class Upscaling(nn.Module):
    """``output_upscaling`` and the product with the mask tokens, cells as rows.

    Each of the two steps makes 2 x 2 cells of one; only the finished logits are put in order.
    """

    def __init__(self, upscaling: nn.Sequential, side: int) -> None:
        """Take over the weights of ``MaskDecoder.output_upscaling``.

        Args:
            upscaling: Transposed convolution, ``LayerNorm2d``, GELU, transposed convolution, GELU.
            side: Cells per side of the embedding.
        """
        super().__init__()
        first, norm, self.activation, second, _ = upscaling
        self.side = side
        self.norm = nn.LayerNorm(norm.weight.shape[0], eps=float(norm.eps))
        self.norm.weight, self.norm.bias = norm.weight, norm.bias
        self.first, self.second = _as_linear(first), _as_linear(second)

    def forward(
        self, cells: torch.Tensor, mask_weights: torch.Tensor, *high_res: torch.Tensor
    ) -> torch.Tensor:
        """Decode M masks of each object; see :meth:`upscale`.

        Returns:
            Logits ``(N, M, 4 side, 4 side)``.
        """
        return self.in_order(self.upscale(cells, *high_res) @ mask_weights.transpose(1, 2))

    def upscale(self, cells: torch.Tensor, *high_res: torch.Tensor) -> torch.Tensor:
        """Make 4 x 4 cells of each.

        Args:
            cells: ``(N, cells, C)``.
            high_res: SAM 2's maps ``(N or 1, C / 8, 4 side, 4 side)`` and ``(N or 1, C / 4,
                2 side, 2 side)``, added after either step.

        Returns:
            ``(N, 16 cells, C / 8)``, not yet in the order of the image.
        """
        side = self.side
        x = self.first(cells).unflatten(2, (4, -1))
        if high_res:
            split = high_res[1].unflatten(3, (side, 2)).unflatten(2, (side, 2))
            x = x + split.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)
        x = self.activation(self.norm(x))
        x = self.second(x).unflatten(3, (4, -1))
        if high_res:
            split = high_res[0].unflatten(3, (side, 2, 2)).unflatten(2, (side, 2, 2))
            ordered = split.permute(0, 2, 5, 3, 6, 4, 7, 1)  # y, x, then two times (dy, dx)
            x = x + ordered.flatten(5, 6).flatten(3, 4).flatten(1, 2)
        return self.activation(x).flatten(1, 3)

    def in_order(self, values: torch.Tensor) -> torch.Tensor:
        """Put what was made of :meth:`upscale`'s rows in order.

        Args:
            values: ``(N, 16 cells, M)``.

        Returns:
            ``(N, M, 4 side, 4 side)``.
        """
        side = self.side
        blocks = values.unflatten(1, (side, side, 2, 2, 2, 2))  # y, x, then two times (dy, dx)
        ordered = blocks.permute(0, 7, 1, 3, 5, 2, 4, 6)
        return ordered.reshape(-1, values.shape[2], 4 * side, 4 * side)


def _unadapted(_: int, cells: torch.Tensor) -> torch.Tensor:
    return cells


def cell_centres(height: int, width: int) -> torch.Tensor:
    """Centres of the image's cells, x and y in [0, 1]: ``(1, cells, 2)``."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centres = (torch.stack([columns, rows], dim=-1) + 0.5) / torch.tensor([width, height])
    return centres.reshape(1, -1, 2).contiguous()


def _as_linear(convolution: nn.ConvTranspose2d) -> nn.Linear:
    """Write a transposed convolution of kernel and stride 2 as a product; outputs (dy, dx, c)."""
    weight = convolution.weight.detach().permute(2, 3, 1, 0)
    linear = nn.Linear(weight.shape[3], 4 * weight.shape[2])
    linear.weight = nn.Parameter(weight.reshape(-1, weight.shape[3]).contiguous())
    linear.bias = nn.Parameter(convolution.bias.detach().repeat(4))
    return linear
