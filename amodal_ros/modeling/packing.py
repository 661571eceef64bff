# SPDX-License-Identifier: Apache-2.0
"""What a prefix hands to its suffix as one tensor, whatever the encoder.

Hiera's prefix also gives the maps of the stages that ended in it, TinyViT's that of its first
stage where an adapter of the mask wants it, at two, four or eight times the
resolution. Each block of their cells becomes channels of the one coarse cell that it covers, so
that engines and predictor see a single ``features (B, C, h, w)`` for all members of the family.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from amodal_ros.modeling.amodal_model import AmodalModel, Features

HIGH_RES = ("high_res_0", "high_res_1")  # names of the finer maps that a decoder takes


@dataclass(frozen=True)
class FeatureLayout:
    """How features lie in the packed tensor.

    Attributes:
        channels: Of each map.
        scales: Side of each map over that of the first.
    """

    channels: tuple[int, ...]
    scales: tuple[int, ...]

    @classmethod
    def of(cls, features: Features) -> FeatureLayout:
        """Read the layout off features ``(B, C_i, h * scale_i, w * scale_i)``."""
        side = features[0].shape[-1]
        return cls(
            tuple(int(f.shape[1]) for f in features),
            tuple(int(f.shape[-1]) // int(side) for f in features),
        )

    def pack(self, features: Features) -> torch.Tensor:
        """Join features to ``(B, sum of C_i * scale_i ** 2, h, w)``."""
        if len(features) == 1:
            return features[0]
        parts = []
        for tensor, k in zip(features, self.scales, strict=True):
            height, width = tensor.shape[-2] // k, tensor.shape[-1] // k
            blocks = tensor.unflatten(3, (width, k)).unflatten(2, (height, k))
            parts.append(blocks.permute(0, 1, 3, 5, 2, 4).flatten(1, 3))
        return torch.cat(parts, dim=1)

    def unpack(self, packed: torch.Tensor) -> Features:
        """Undo :meth:`pack`."""
        if len(self.channels) == 1:
            return (packed,)
        sizes = [c * k * k for c, k in zip(self.channels, self.scales, strict=True)]
        features = []
        for part, c, k in zip(packed.split(sizes, dim=1), self.channels, self.scales, strict=True):
            blocks = part.unflatten(1, (c, k, k)).permute(0, 1, 4, 2, 5, 3)
            features.append(blocks.flatten(4, 5).flatten(2, 3))
        return tuple(features)


def feature_layout(model: AmodalModel) -> FeatureLayout:
    """Find out what a model's prefix gives."""
    size, weights = model.config.image_size, next(model.parameters())
    with torch.inference_mode():
        return FeatureLayout.of(model.prefix(torch.zeros(1, 3, size, size).to(weights)))
