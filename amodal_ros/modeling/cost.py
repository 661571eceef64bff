# SPDX-License-Identifier: Apache-2.0
"""Parameter and FLOP counts of modules, for the tables in the documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(module: nn.Module, *, trainable_only: bool = False) -> int:
    """Count the scalars in a module's parameters (buffers excluded)."""
    parameters = module.parameters()
    return sum(p.numel() for p in parameters if p.requires_grad or not trainable_only)


def count_flops(function: Callable[..., Any], *inputs: Any) -> int:
    """Count the floating point operations of one call (a multiply-add is two).

    Convolutions, matrix products and attention are counted; element-wise work is not.

    Args:
        function: A module or any callable over tensors; with tensors on the ``meta`` device
            nothing is computed.
        *inputs: What it is called with.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function(*inputs)
    return int(counter.get_total_flops())
