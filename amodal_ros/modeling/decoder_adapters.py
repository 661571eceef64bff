# SPDX-License-Identifier: Apache-2.0
"""Adapters inside the mask decoder: the variant that loses in the paper's Table 4, or a few more.

The decoder of SAM, SAM 2 and MobileSAM is a two-way transformer of two layers, in which the prompt
tokens (queries) and the image tokens (keys) attend to each other. An adapter works on the image
tokens, at ``s x s`` cells of 16 input pixels: positions 0 and 1 are before that layer, position 2
is after the last one, where the tokens are read for the mask and are upscaled. Beside adapters in
the encoder there may be one at position 3 too, on the finished logits: an SCA at the resolution of
the mask, which corrects them.

The adapters in an encoder see cells of 16 input pixels, and so does what the frozen decoder makes
of them: one cell becomes 4 x 4 of the mask by a fixed upscaling that sees no neighbour. Whether a
mask ends at an edge of the image is decided here instead, from what the decoder upscaled, from the
encoder's early features of the same resolution (which SAM 2's decoder takes in as well) and from
M_spec, by the same gated convolutions (Eq. 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.sca import GatedConvolution, build_adapter, resize_prior

MASK_STRIDE = 4
_LOGIT_SCALE = 8.0  # brings the decoder's logits near the size of its features


class MaskAdapter(nn.Module):
    """Gated convolutions over upscaled features, early image features, logits and M_spec.

    Its output is added to the logits through a zero-initialised 1x1 convolution: until it is
    trained it changes nothing. Its gates start open and its kernels are dilated by 1, 3 and 9 (see
    :class:`~amodal_ros.modeling.sca.SpatialCompletionAdapter`), so that it sees 27 x 27 cells.
    """

    def __init__(
        self,
        mask_channels: int,
        image_channels: int,
        *,
        hidden_dim: int,
        iterations: int = 3,
        kernel_size: int = 3,
        masks: int = 1,
    ) -> None:
        """Build the adapter.

        Args:
            mask_channels: Channels of the decoder's upscaled features.
            image_channels: Channels of the encoder's features at a stride of 4 pixels.
            hidden_dim: Width.
            iterations: How often Eq. 5 is applied.
            kernel_size: Odd side of the gate and feature kernels.
            masks: Masks that it corrects at once: 1, or 2 with the visible mask.

        Raises:
            InvalidInputError: A size is not positive, or the kernel's side is even.
        """
        super().__init__()
        if min(mask_channels, image_channels, hidden_dim, iterations) < 1 or kernel_size % 2 == 0:
            raise InvalidInputError(
                "channels, hidden_dim and iterations must be at least 1 and kernel_size odd, got "
                f"{mask_channels}, {image_channels}, {hidden_dim}, {iterations}, {kernel_size}"
            )
        self.hidden_dim = hidden_dim
        self.masks = masks
        self.reduce_image = nn.Conv2d(image_channels, hidden_dim, kernel_size=1)
        self.reduce_mask = nn.Conv2d(mask_channels + masks, hidden_dim, kernel_size=1, bias=False)
        self.gated = nn.ModuleList(
            GatedConvolution(
                hidden_dim, hidden_dim, kernel_size=kernel_size, dilation=kernel_size**index
            )
            for index in range(iterations)
        )
        for gated in self.gated:
            gated.start_open()
        self.expand = nn.Conv2d(hidden_dim, masks, kernel_size=1)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(
        self,
        logits: torch.Tensor,
        upscaled: torch.Tensor,
        image_part: torch.Tensor,
        prior_masks: torch.Tensor,
        gain: torch.Tensor,
    ) -> torch.Tensor:
        """Correct the masks of N objects.

        Args:
            logits: ``(N, masks, 4s, 4s)``.
            upscaled: ``(N, mask_channels, 4s, 4s)``, what the logits were made from.
            image_part: :attr:`reduce_image` of the encoder's features, ``(N or 1, hidden_dim, 4s,
                4s)``. It is computed before the decoder: all its objects may share it.
            prior_masks: M_spec ``(N or 1, 1, 16s, 16s)`` in [0, 1].
            gain: ``(N or 1,)`` factor of what is added; 0 returns the logits.

        Returns:
            ``(N, masks, 4s, 4s)``.
        """
        both = torch.cat([upscaled, logits.to(upscaled.dtype) / _LOGIT_SCALE], dim=1)
        return self.correct(logits, self.reduce_mask(both) + image_part, prior_masks, gain)

    def reduce_rows(self, upscaled: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Apply the first convolution, of one cell each, to cells as rows.

        Args:
            upscaled: ``(N, cells, mask_channels)``.
            logits: ``(N, cells, masks)``.

        Returns:
            ``(N, cells, hidden_dim)``; the sum with ``image_part`` is what :meth:`correct` takes.
        """
        weight = self.reduce_mask.weight.flatten(1)
        features, masks = weight[:, : -self.masks], weight[:, -self.masks :]
        if self.masks == 1:
            return F.linear(upscaled, features) + logits * (masks[:, 0] / _LOGIT_SCALE)
        return F.linear(upscaled, features) + F.linear(logits, masks / _LOGIT_SCALE)

    def correct(
        self,
        logits: torch.Tensor,
        hidden: torch.Tensor,
        prior_masks: torch.Tensor,
        gain: torch.Tensor,
    ) -> torch.Tensor:
        """Compute the rest of :meth:`forward` from the sum of its reduced inputs."""
        prior = resize_prior(prior_masks, MASK_STRIDE)
        for gated in self.gated:
            hidden = gated(hidden, prior)
        change = self.expand(hidden)
        return logits + change * gain.view(-1, 1, 1, 1).to(change.dtype)


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


def adapters_in_decoder(config: AmodalConfig) -> nn.ModuleDict:
    """Build the adapters of ``place: decoder``, as ``config`` asks.

    Raises:
        InvalidInputError: There is no such position.
    """
    return nn.ModuleDict(
        {
            adapter_name(position): build_adapter(config, position, DECODER_DIM, DECODER_STRIDE)
            for position in decoder_positions(config)
        }
    )
