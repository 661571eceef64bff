# SPDX-License-Identifier: Apache-2.0
"""Adapters inside the mask decoder: the variant that loses in the paper's Table 4, or a few more.

The decoder of SAM, SAM 2 and MobileSAM is a two-way transformer of two layers, in which the prompt
tokens (queries) and the image tokens (keys) attend to each other. An adapter works on the image
tokens, at ``s x s`` cells of 16 input pixels: positions 0 and 1 are before that layer, position 2
is after the last one, where the tokens are read for the mask and are upscaled. Beside adapters in
the encoder there may be one at position 3 too, on the finished logits (``mask_adapter.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.mask_adapter import MaskAdapter

DECODER_DIM = 256
DECODER_STRIDE = 16
DEFAULT_POSITIONS = (0, 1, 2)
MASK_POSITION = 3


def adapter_name(position: int) -> str:
    """Return the name of the adapter at a position of the decoder."""
    return f"decoder_{position}"


def mask_adapter(adapters: nn.ModuleDict) -> MaskAdapter | None:
    """Return the adapter that corrects the mask; None where there is none."""
    found = dict(adapters.items()).get(adapter_name(MASK_POSITION))  # a ModuleDict has no get
    return found if isinstance(found, MaskAdapter) else None


def decoder_positions(config: AmodalConfig) -> tuple[int, ...]:
    """Return the configured positions, or the default.

    Raises:
        InvalidInputError: A position is not 0, 1 or 2.
    """
    positions = config.positions or DEFAULT_POSITIONS
    if not set(positions) <= set(DEFAULT_POSITIONS):
        raise InvalidInputError(f"positions in the decoder are 0, 1 and 2, got {positions}")
    return positions


@contextmanager
def adapted_transformer(
    transformer: nn.Module,
    adapters: nn.ModuleDict,
    prior_masks: torch.Tensor,
    adapter_gain: torch.Tensor,
) -> Iterator[None]:
    """Let the adapters work on the image tokens while the context lasts.

    The official ``TwoWayTransformer`` stays as it is; hooks on its layers reach in between.

    Args:
        transformer: ``TwoWayTransformer`` of an official mask decoder.
        adapters: Adapters named by :func:`adapter_name`.
        prior_masks: ``(N, 1, S, S)``.
        adapter_gain: ``(N,)``.
    """
    layers: Any = transformer.layers
    side = prior_masks.shape[-1] // DECODER_STRIDE

    def adapt(position: int, keys: torch.Tensor) -> torch.Tensor:
        image = keys.transpose(1, 2).unflatten(2, (side, side))
        adapted = adapters[adapter_name(position)](image, prior_masks, adapter_gain)
        return adapted.flatten(2).transpose(1, 2)

    def before(position: int) -> Any:
        def hook(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
            return args, {**kwargs, "keys": adapt(position, kwargs["keys"])}

        return hook

    def after(_: nn.Module, __: Any, output: Any) -> Any:
        return output[0], adapt(len(layers), output[1])

    handles = []
    for position, layer in enumerate(layers):
        if adapter_name(position) in adapters:
            handles.append(layer.register_forward_pre_hook(before(position), with_kwargs=True))
    if adapter_name(len(layers)) in adapters:
        handles.append(layers[-1].register_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
