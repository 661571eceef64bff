# SPDX-License-Identifier: Apache-2.0
"""A copy of a model in the forms that engines compute exactly and fast."""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from export.graphs.encoder_blocks import HieraBlock, VitBlock

Module = TypeVar("Module", bound=nn.Module)

# By name, so that no package is imported that the model does not come from.
VIT_BLOCK = "segment_anything.modeling.image_encoder.Block"
HIERA_BLOCK = "sam2.modeling.backbones.hieradet.MultiScaleBlock"


class ChannelLayerNorm(nn.Module):
    """SAM's ``LayerNorm2d`` as a real layer normalisation between two permutations.

    Written from primitives, as it is officially, it overflows in float16 engines.
    """

    def __init__(self, norm: nn.Module) -> None:
        """Take over weight, bias and epsilon of a ``LayerNorm2d``."""
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
    """Replace the interpolation of a prepared Hiera's position embedding by its result.

    Args:
        trunk: ``Hiera``.
        grid: Side of its tokens.
    """
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
