# SPDX-License-Identifier: Apache-2.0
"""A copy of a model in the forms that engines compute exactly and fast.

The transformer blocks of SAM's ViT and of SAM 2's Hiera are written over a free batch; the
official modules hold the weights. Written anew is what makes poor graphs of them: windows are cut
and joined without arithmetic on the batch, tables of relative positions are constants, and
queries, keys and values come from one transposition.
"""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional as F


def cut_windows(x: torch.Tensor, side: int) -> torch.Tensor:
    """Cut ``(B, H, W, C)``, padded with zeros, into windows ``(B * n, side, side, C)``."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    bottom, right = -height % side, -width % side
    if bottom or right:
        x = F.pad(x, (0, 0, 0, right, 0, bottom))
    rows, columns = (height + bottom) // side, (width + right) // side
    split = x.reshape(-1, rows, side, columns, side, channels)
    return split.transpose(2, 3).reshape(-1, side, side, channels)


def join_windows(windows: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Undo :func:`cut_windows` for ``(B, height, width, C)``."""
    side, channels = windows.shape[1], windows.shape[3]
    rows, columns = -(-height // side), -(-width // side)
    split = windows.reshape(-1, rows, columns, side, side, channels).transpose(2, 3)
    whole = split.reshape(-1, rows * side, columns * side, channels)
    if rows * side == height and columns * side == width:
        return whole
    return whole[:, :height, :width]


class VitBlock(nn.Module):
    """``segment_anything.modeling.image_encoder.Block``."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm1, self.norm2, self.mlp = block.norm1, block.norm2, block.mlp
        self.window = int(block.window_size)
        attention = block.attn
        self.qkv, self.proj = attention.qkv, attention.proj
        self.heads, self.scale = int(attention.num_heads), float(attention.scale)
        self.register_buffer("rows", _relative_table(attention.rel_pos_h))
        self.register_buffer("columns", _relative_table(attention.rel_pos_w))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block on ``(B, H, W, C)``."""
        height, width = x.shape[1], x.shape[2]
        y = self.norm1(x)
        if self.window:
            y = join_windows(self._attend(cut_windows(y, self.window)), height, width)
        else:
            y = self._attend(y)
        x = x + y
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        """Attend within each of ``(B, h, w, C)``."""
        height, width = x.shape[1], x.shape[2]
        q, k, v = _heads(self.qkv(x.flatten(1, 2)), self.heads)
        cells = q.unflatten(2, (height, width))  # (B, heads, h, w, d)
        rows = cells @ self.rows
        columns = (cells.transpose(2, 3) @ self.columns).transpose(2, 3)
        scores = ((q * self.scale) @ k.transpose(2, 3)).reshape(
            -1, self.heads, height * width, height, width
        )
        scores = scores + rows.flatten(2, 3).unsqueeze(4) + columns.flatten(2, 3).unsqueeze(3)
        mixed = scores.flatten(3, 4).softmax(dim=-1) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2)).unflatten(1, (height, width))


class HieraBlock(nn.Module):
    """``sam2.modeling.backbones.hieradet.MultiScaleBlock``."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm1, self.norm2, self.mlp = block.norm1, block.norm2, block.mlp
        self.window = int(block.window_size)
        self.pool = block.pool
        self.widen = block.proj if block.dim != block.dim_out else None
        attention = block.attn
        self.qkv, self.proj = attention.qkv, attention.proj
        self.heads = int(attention.num_heads)
        self.scale = float((attention.dim_out // attention.num_heads) ** -0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block on ``(B, H, W, C)``; with pooling the result is half as large."""
        y = self.norm1(x)
        shortcut = x if self.widen is None else self._pooled(self.widen(y))
        height, width = shortcut.shape[1], shortcut.shape[2]
        if self.window:
            y = join_windows(self._attend(cut_windows(y, self.window)), height, width)
        else:
            y = self._attend(y)
        x = shortcut + y
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        """Attend within each of ``(B, h, w, C)``."""
        height, width = x.shape[1], x.shape[2]
        qkv = self.qkv(x.flatten(1, 2))
        if self.pool is None:
            q, k, v = _heads(qkv, self.heads)
        else:
            channels = qkv.shape[2] // 3
            query = self._pooled(qkv[..., :channels].unflatten(1, (height, width)))
            height, width = query.shape[1], query.shape[2]
            q = query.flatten(1, 2).unflatten(2, (self.heads, -1)).transpose(1, 2)
            both = qkv[..., channels:].unflatten(2, (2 * self.heads, -1)).transpose(1, 2)
            k, v = both.split(self.heads, dim=1)
        weights = ((q * self.scale) @ k.transpose(2, 3)).softmax(dim=-1)
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        return self.proj(mixed).unflatten(1, (height, width))

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        if self.pool is None:
            return x
        return self.pool(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def _heads(qkv: torch.Tensor, heads: int) -> tuple[torch.Tensor, ...]:
    """Split ``(B, T, 3 * C)`` into queries, keys and values ``(B, heads, T, d)``."""
    return qkv.unflatten(2, (3 * heads, -1)).transpose(1, 2).split(heads, dim=1)


def _relative_table(relative: torch.Tensor) -> torch.Tensor:
    """Gather embeddings per offset ``(2 * n - 1, d)`` to ``(n, d, n)``: query, d, key."""
    side = (relative.shape[0] + 1) // 2
    offsets = torch.arange(side)[:, None] - torch.arange(side)[None, :] + side - 1
    return relative.detach()[offsets].transpose(1, 2).contiguous()


Module = TypeVar("Module", bound=nn.Module)

# By name, so that no package is imported that the model does not come from.
VIT_BLOCK = "segment_anything.modeling.image_encoder.Block"
HIERA_BLOCK = "sam2.modeling.backbones.hieradet.MultiScaleBlock"


class ChannelLayerNorm(nn.Module):
    """SAM's ``LayerNorm2d`` as a real layer normalisation between two permutations.

    Written from primitives, as it is officially, it overflows in float16 engines.
    """

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``(N, C, h, w)`` over C."""
        channels_last = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(
            channels_last, (x.shape[1],), self.weight, self.bias, float(self.eps)
        )
        return normed.permute(0, 3, 1, 2)


class ErfGelu(nn.Module):
    """GELU in the order of operations that ONNX Runtime fuses into one kernel.

    The exporter's own order, ``x * (0.5 * (1 + erf))``, is not recognised: it doubles the time of
    TinyViT's first stage.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute ``x * (1 + erf(x / sqrt(2))) * 0.5``."""
        return x * (torch.erf(x / math.sqrt(2.0)) + 1.0) * 0.5


def prepare(module: Module) -> Module:
    """Copy a module for export, in evaluation mode; the copy shares its weights.

    Batch norms are folded, position embeddings of Hiera computed; ``LayerNorm2d``, GELU and the
    blocks of encoders are replaced by forms of ours.
    """
    shared = [*module.parameters(), *module.buffers()]
    prepared = copy.deepcopy(module, {id(tensor): tensor for tensor in shared}).eval()
    _replace(prepared)
    return prepared


def bake_positions(trunk: Any, grid: int) -> None:
    """Replace the interpolation of a prepared Hiera's position embedding by its result."""
    with torch.no_grad():
        positions = trunk._get_pos_embed((grid, grid)).contiguous()
    trunk.__dict__["_get_pos_embed"] = lambda _: positions


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        kind = f"{type(child).__module__}.{type(child).__name__}"
        if kind == VIT_BLOCK:
            child = VitBlock(child)
        elif kind == HIERA_BLOCK:
            child = HieraBlock(child)
        elif type(child).__name__ == "Conv2d_BN":  # TinyViT's, which folds itself
            child = child.fuse()
        elif type(child).__name__ == "LayerNorm2d":
            child = ChannelLayerNorm(child)
        elif isinstance(child, nn.GELU):
            child = ErfGelu()
        _replace(child)
        setattr(module, name, child)
