# SPDX-License-Identifier: Apache-2.0
"""A copy of a model in the forms that engines compute exactly and fast."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F

Module = TypeVar("Module", bound=nn.Module)


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

    Batch norms are folded; ``LayerNorm2d`` and GELU are replaced by the forms above.
    """
    shared = [*module.parameters(), *module.buffers()]
    prepared = copy.deepcopy(module, {id(tensor): tensor for tensor in shared}).eval()
    _replace(prepared)
    return prepared


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if type(child).__name__ == "Conv2d_BN":  # TinyViT's, which folds itself
            setattr(module, name, child.fuse())
        elif type(child).__name__ == "LayerNorm2d":
            setattr(module, name, ChannelLayerNorm(child))
        elif isinstance(child, nn.GELU):
            setattr(module, name, ErfGelu())
        else:
            _replace(child)
