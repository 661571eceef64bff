# SPDX-License-Identifier: Apache-2.0
"""Holistic topological regularization: the two sides of Eq. 10 (paper, 3.4, A.1.2).

Conventions:

- 1 means "true": ground truth is the positive, the model's output the negative sample (A.1.2).
- D gets probabilities, not thresholded masks, so that its verdict has a gradient; ground truth is
  reduced to D's size by area, which gives it the soft edges that a prediction has.
- Model step: D's parameters receive no gradient. Discriminator step: the prediction is detached.
  Both use D as it was before the step.
- The model minimises -log D(M_p) in place of log(1 - D(M_p)): the same fixed point, but a gradient
  where D is sure (Goodfellow et al. 2014, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F
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


def masks_for_discriminator(masks: torch.Tensor, valid: torch.Tensor, side: int) -> torch.Tensor:
    """Reduce masks ``(N, 1, S, S)`` by area to ``(N, 1, side, side)``; 0 where not valid."""
    return F.avg_pool2d(masks * valid, masks.shape[-1] // side)


def probabilities_for_discriminator(
    low_res_logits: torch.Tensor, valid: torch.Tensor
) -> torch.Tensor:
    """Turn logits ``(N, 1, s, s)`` into probabilities; 0 where not valid, as in the truth."""
    cell = valid.shape[-1] // low_res_logits.shape[-1]
    return low_res_logits.float().sigmoid() * F.avg_pool2d(valid, cell)


def model_loss(
    discriminator: Discriminator, predicted: torch.Tensor, images: torch.Tensor | None
) -> torch.Tensor:
    """Compute what the model minimises, ``(N,)``: -log D(M_p, I), with D's parameters frozen.

    Args:
        discriminator: D.
        predicted: ``(N, 1, side, side)`` probabilities.
        images: ``(N, 3, side, side)`` originals, or None in a closed domain.
    """
    trained = [p for p in discriminator.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        logits = discriminator(predicted, images)
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
    return F.softplus(-logits)


def discriminator_loss(
    discriminator: Discriminator,
    predicted: torch.Tensor,
    true: torch.Tensor,
    images: torch.Tensor | None,
    *,
    real_label: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute what D minimises: -log D(M_gt, I) - log(1 - D(M_p, I)).

    Args:
        discriminator: D.
        predicted: ``(N, 1, side, side)`` probabilities; no gradient flows into them.
        true: ``(N, 1, side, side)`` in [0, 1].
        images: ``(N, 3, side, side)`` originals, or None in a closed domain.
        real_label: Target for true masks; under 1 keeps D from growing sure without bound
            (one-sided label smoothing, Salimans et al. 2016).

    Returns:
        The loss ``(N,)``, then D's probabilities ``(N,)`` for true and predicted masks, detached.
    """
    on_true = discriminator(true, images)
    on_predicted = discriminator(predicted.detach(), images)
    target = torch.full_like(on_true, real_label)
    loss = F.binary_cross_entropy_with_logits(on_true, target, reduction="none")
    loss = loss + F.softplus(on_predicted)
    return loss, on_true.detach().sigmoid(), on_predicted.detach().sigmoid()
