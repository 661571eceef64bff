# SPDX-License-Identifier: Apache-2.0
"""Spatial Completion Adapter (SCA): the paper's Eq. 5 and section A.1.3.

An SCA looks at the features ``E`` of the preceding block and at the prior mask ``M_spec`` and
gates what it adds: ``G = sigmoid(F_gate(E, M_spec))``, ``O = G * LeakyReLU(F_feat(E, M_spec))``,
repeated three times. With a bottleneck (``hidden_dim``) its output is added to the features
through a zero-initialised 1x1 convolution, so that an untrained amodal model equals its base model
exactly.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.config import AmodalConfig

LEAKY_SLOPE = 0.01
_OPEN = 2.0  # sigmoid(2) = 0.88


def resize_prior(prior_masks: torch.Tensor, stride: int) -> torch.Tensor:
    """Bring M_spec to the resolution of the features by average pooling with a fixed stride.

    The same operation runs in training and in every exported graph. Adaptive pooling and
    ``interpolate(mode="area")`` do not export with a dynamic number of objects.

    Args:
        prior_masks: ``(N, 1, H, W)`` float in [0, 1], input frame; H, W multiples of ``stride``.
        stride: Input pixels per feature cell.

    Returns:
        ``(N, 1, H / stride, W / stride)`` float in [0, 1].
    """
    if stride == 1:
        return prior_masks
    return F.avg_pool2d(prior_masks, kernel_size=stride, stride=stride)


class GatedConvolution(nn.Module):
    """One application of Eq. 5: ``sigmoid(F_gate(E, M)) * LeakyReLU(F_feat(E, M))``.

    The convolution of a concatenation is the sum of two convolutions. Written as such, the part
    that sees the features alone is computed once when N objects share one image.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int = 3, dilation: int = 1
    ) -> None:
        """Build the gate and the feature convolution.

        Args:
            in_channels: Channels of the features, without M_spec.
            out_channels: Channels of the result.
            kernel_size: Odd side of both kernels.
            dilation: Cells between the taps of both kernels.
        """
        super().__init__()
        self.gate, self.feature = (
            nn.Conv2d(
                in_channels + 1,
                out_channels,
                kernel_size,
                padding=dilation * (kernel_size // 2),
                dilation=dilation,
            )
            for _ in range(2)
        )

    def start_open(self) -> None:
        """Draw weights with which features keep their size, behind gates that are nearly open.

        With PyTorch's own, and gates at one half, each application leaves a fifth of the size
        (1 % after three), and an adapter takes hundreds of steps to be felt.
        """
        nn.init.kaiming_normal_(self.feature.weight, a=LEAKY_SLOPE)
        nn.init.constant_(self.gate.bias, _OPEN)

    def forward(self, features: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
        """Gate the features.

        Args:
            features: ``(N or 1, in_channels, h, w)``.
            prior: M_spec at the features' resolution, ``(N, 1, h, w)`` in [0, 1].

        Returns:
            ``(N, out_channels, h, w)``.
        """
        gate = torch.sigmoid(_convolve_concatenated(self.gate, features, prior))
        feature = _convolve_concatenated(self.feature, features, prior)
        return gate * F.leaky_relu(feature, LEAKY_SLOPE)


def _convolve_concatenated(
    convolution: nn.Conv2d, features: torch.Tensor, prior: torch.Tensor
) -> torch.Tensor:
    """Compute ``convolution(cat(features, prior))``; a features batch of 1 is shared by all."""
    channels = convolution.in_channels - 1
    weight = convolution.weight
    where = {"padding": convolution.padding, "dilation": convolution.dilation}
    from_features = F.conv2d(features, weight[:, :channels], convolution.bias, **where)
    return from_features + F.conv2d(prior, weight[:, channels:], None, **where)


class SpatialCompletionAdapter(nn.Module):
    """The paper's adapter for one place in an image encoder (Eq. 5, A.1.3).

    ``hidden_dim`` set: 1x1 to ``hidden_dim``, ``iterations`` gated 3x3 convolutions with weights
    of their own and M_spec given again to each, zero-initialised 1x1 back, added to the features.

    ``hidden_dim=None``: the literal, full-width form, in which ``O`` replaces the features. A
    zero-initialised factor per channel blends from the features (0) to ``O`` (1).

    ``dilated``: the i-th iteration spreads its taps over ``kernel_size ** i`` cells (1, 3, 9), as
    the inpainting networks do that Eq. 5's gated convolution comes from (Yu et al., "Free-Form
    Image Inpainting with Gated Convolution", 2019). Three iterations then see 27 x 27 cells
    without a gap, for the cost of the paper's 7 x 7. It matters where the encoder itself sees
    little at once: TinyViT's windows are 14 and 7 cells wide, and never shifted. Its gates start
    nearly open.
    """

    def __init__(
        self,
        channels: int,
        *,
        prior_stride: int,
        hidden_dim: int | None = 64,
        iterations: int = 3,
        kernel_size: int = 3,
        dilated: bool = False,
        open_gates: bool = False,
    ) -> None:
        """Build the adapter; its output equals its input until it is trained.

        Args:
            channels: Channels C of the encoder's features at this place.
            prior_stride: Input pixels per feature cell at this place (16 for a plain ViT).
            hidden_dim: Width of the bottleneck, or None for the full-width form.
            iterations: How often Eq. 5 is applied.
            kernel_size: Odd side of the gate and feature kernels.
            dilated: Widen what the iterations see; see the class.
            open_gates: Let the gates start nearly open though it is not dilated.

        Raises:
            InvalidInputError: A size is not positive, or the kernel's side is even.
        """
        super().__init__()
        _check_positive(
            channels=channels, prior_stride=prior_stride, iterations=iterations,
            hidden_dim=1 if hidden_dim is None else hidden_dim, kernel_size=kernel_size,
        )  # fmt: skip
        if kernel_size % 2 == 0:
            raise InvalidInputError(f"kernel_size must be odd, got {kernel_size}")
        self.channels = channels
        self.prior_stride = prior_stride
        self.hidden_dim = hidden_dim
        width = channels if hidden_dim is None else hidden_dim
        self.gated = nn.ModuleList(
            GatedConvolution(
                width,
                width,
                kernel_size=kernel_size,
                dilation=kernel_size**index if dilated else 1,
            )
            for index in range(iterations)
        )
        if dilated or open_gates:
            for gated in self.gated:
                gated.start_open()
        if hidden_dim is None:
            self.blend = nn.Parameter(torch.zeros(channels))
        else:
            self.reduce = nn.Conv2d(channels, hidden_dim, kernel_size=1)
            self.expand = nn.Conv2d(hidden_dim, channels, kernel_size=1)
            nn.init.zeros_(self.expand.weight)
            nn.init.zeros_(self.expand.bias)

    def forward(
        self, features: torch.Tensor, prior_masks: torch.Tensor, gain: torch.Tensor
    ) -> torch.Tensor:
        """Complete the features of N objects.

        Args:
            features: ``(N, C, h, w)``, or ``(1, C, h, w)`` shared by all N objects.
            prior_masks: M_spec ``(N, 1, h * prior_stride, w * prior_stride)`` in [0, 1].
            gain: ``(N,)`` factor of the adapter's contribution; 0 returns the features.

        Returns:
            ``(N, C, h, w)``.

        Raises:
            InvalidInputError: The prior's size does not fit the features'.
        """
        if not torch.compiler.is_compiling() and not torch.jit.is_tracing():
            self._check(features, prior_masks)
        prior = resize_prior(prior_masks, self.prior_stride)
        hidden = features if self.hidden_dim is None else self.reduce(features)
        for gated in self.gated:
            hidden = gated(hidden, prior)
        if self.hidden_dim is None:
            change = (hidden - features) * self.blend.view(1, -1, 1, 1)
        else:
            change = self.expand(hidden)
        return features + change * gain.view(-1, 1, 1, 1).to(change.dtype)

    def _check(self, features: torch.Tensor, prior_masks: torch.Tensor) -> None:
        expected = tuple(side * self.prior_stride for side in features.shape[-2:])
        if tuple(prior_masks.shape[-2:]) != expected or prior_masks.shape[1] != 1:
            raise InvalidInputError(
                f"prior_masks of shape {tuple(prior_masks.shape)} do not fit features of shape "
                f"{tuple(features.shape)}: expected (N, 1, {expected[0]}, {expected[1]})"
            )


def _check_positive(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise InvalidInputError(f"{name} must be at least 1, got {value}")


class ConventionalAdapter(nn.Module):
    """Bottleneck of plain convolutions with a zero-initialised, residual output.

    Called exactly as :class:`~amodal_ros.modeling.sca.SpatialCompletionAdapter` is, so that one
    can stand for the other; the prior mask is accepted and not looked at.
    """

    def __init__(self, channels: int, *, prior_stride: int, hidden_dim: int = 64) -> None:
        """Build the adapter; its output equals its input until it is trained.

        Raises:
            InvalidInputError: ``channels`` or ``hidden_dim`` is not positive.
        """
        super().__init__()
        if channels < 1 or hidden_dim < 1:
            raise InvalidInputError(
                f"channels and hidden_dim must be at least 1, got {channels} and {hidden_dim}"
            )
        self.channels = channels
        self.prior_stride = prior_stride
        self.hidden_dim = hidden_dim
        self.reduce = nn.Conv2d(channels, hidden_dim, kernel_size=1)
        self.mix = nn.Conv2d(hidden_dim, hidden_dim, kernel_size=3, padding=1)
        self.activation = nn.GELU()
        self.expand = nn.Conv2d(hidden_dim, channels, kernel_size=1)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(
        self, features: torch.Tensor, prior_masks: torch.Tensor, gain: torch.Tensor
    ) -> torch.Tensor:
        """Adapt the features of N objects.

        Args:
            features: ``(N, C, h, w)``, or ``(1, C, h, w)`` shared by all N objects.
            prior_masks: ``(N, 1, H, W)``; not used.
            gain: ``(N,)`` factor of the adapter's contribution; 0 returns the features.

        Returns:
            ``(N, C, h, w)``.
        """
        hidden = self.activation(self.mix(self.activation(self.reduce(features))))
        change = self.expand(hidden)
        return features + change * gain.view(-1, 1, 1, 1).to(change.dtype)


def build_adapter(
    config: AmodalConfig, position: int, channels: int, prior_stride: int
) -> nn.Module:
    """Build one adapter as ``config`` asks.

    Args:
        config: Kind, width and iterations.
        position: Its place, as ``config.positions`` counts.
        channels: Channels of the features at its place.
        prior_stride: Input pixels per feature cell at its place.

    Raises:
        InvalidInputError: A conventional adapter without a ``hidden_dim``.
    """
    if config.adapter == "conventional":
        width = config.conventional_dim or config.hidden_dim
        if width is None:
            raise InvalidInputError("a conventional adapter needs a hidden_dim, got None")
        return ConventionalAdapter(channels, prior_stride=prior_stride, hidden_dim=width)
    return SpatialCompletionAdapter(
        channels,
        prior_stride=prior_stride,
        hidden_dim=config.hidden_dim,
        iterations=config.iterations,
        dilated=position in config.dilated_positions,
        open_gates=config.open_gates,
    )
