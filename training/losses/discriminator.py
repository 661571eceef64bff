# SPDX-License-Identifier: Apache-2.0
"""The discriminator D of the holistic topological regularization (paper, 3.4, A.1.2)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from amodal_ros.errors import InvalidInputError

_SMALLEST_SIDE = 4
_WIDEST = 8  # times the first layer's width


class Discriminator(nn.Module):
    """Stacked strided convolutions from a mask, with or without its picture, to one logit.

    A.1.2 ends in a sigmoid; D gives the logit before it, and the losses contain the sigmoid, which
    is the same thing without its overflow.

    Every layer is spectrally normalised. A ground-truth mask is sharp and a probability map is
    not, so D could tell them apart within a few steps and its gradient with respect to the mask
    would explode; the normalisation bounds it. There is no batch normalisation: it would make the
    answer about one object depend on the others, and on how a batch is spread over machines.

    Attributes:
        side: Side of the masks in pixels.
        sees_image: Open-world training (image and mask), or closed domain (mask alone).
    """

    def __init__(self, side: int, *, sees_image: bool, width: int = 64) -> None:
        """Build D for masks of one size.

        Args:
            side: Of the masks in pixels, at least 8.
            sees_image: Whether D also gets the original, unoccluded image.
            width: Channels after the first layer; they double per layer up to eight times that.

        Raises:
            InvalidInputError: The masks are too small, or the width is not positive.
        """
        super().__init__()
        if side < 2 * _SMALLEST_SIDE or width < 1:
            raise InvalidInputError(
                f"a discriminator needs side >= {2 * _SMALLEST_SIDE} and width >= 1, "
                f"got {side} and {width}"
            )
        self.side = side
        self.sees_image = sees_image
        channels, out, size = (4 if sees_image else 1), width, side
        layers: list[nn.Module] = []
        while size > _SMALLEST_SIDE:
            layers.append(
                spectral_norm(nn.Conv2d(channels, out, kernel_size=4, stride=2, padding=1))
            )
            layers.append(nn.LeakyReLU(0.2))
            channels, out, size = out, min(2 * out, _WIDEST * width), size // 2
        layers += [nn.Flatten(), spectral_norm(nn.Linear(channels * size * size, 1))]
        self.layers = nn.Sequential(*layers)
        # The power iteration runs in `update_norms` alone, so that it runs once per optimiser
        # step however the batch is split; in evaluation mode the estimate stays as it is.
        self.eval()

    def forward(self, masks: torch.Tensor, images: torch.Tensor | None = None) -> torch.Tensor:
        """Judge N masks.

        Args:
            masks: ``(N, 1, side, side)`` float32 in [0, 1].
            images: ``(N, 3, side, side)`` float32, normalised, without the occluder; None where D
                sees masks alone.

        Returns:
            Logits ``(N,)``; positive: D takes the mask for a true one.

        Raises:
            InvalidInputError: An image is missing or not expected, or a size is wrong.
        """
        if (images is not None) != self.sees_image:
            raise InvalidInputError(
                f"this discriminator {'needs' if self.sees_image else 'takes no'} images"
            )
        if tuple(masks.shape[1:]) != (1, self.side, self.side):
            raise InvalidInputError(
                f"masks must be (N, 1, {self.side}, {self.side}), got {tuple(masks.shape)}"
            )
        inputs = masks if images is None else torch.cat([images, masks], dim=1)
        logits: torch.Tensor = self.layers(inputs)
        return logits.squeeze(1)

    def update_norms(self) -> None:
        """Bring the estimate of each layer's spectral norm up to date: once per step."""
        with torch.no_grad():
            for layer in self._normalised():
                layer.parametrizations.train()
                _ = layer.weight  # computing it runs one power iteration
                layer.parametrizations.eval()

    def _normalised(self) -> Iterator[nn.Module]:
        return (layer for layer in self.layers if hasattr(layer, "parametrizations"))
