# SPDX-License-Identifier: Apache-2.0
"""``prefix.onnx``: what all objects of an image share."""

from __future__ import annotations

import torch
from torch import nn

from export.onnx_graph import Component, Tensor, export_component


class PrefixGraph(nn.Module):
    """``image -> features``."""

    def __init__(self, encoder: nn.Module) -> None:
        """Wrap an encoder prepared for export."""
        super().__init__()
        self.encoder = encoder

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Run the encoder up to its first adapter."""
        return self.encoder.prefix(image)


def export_prefix(encoder: nn.Module, image_size: int) -> Component:
    """Export the prefix for one image.

    Args:
        encoder: Prepared with :func:`~export.onnx_graph.prepare`.
        image_size: Side S of the input.
    """
    module = PrefixGraph(encoder)
    image = torch.zeros(1, 3, image_size, image_size)
    with torch.no_grad():
        features = module(image)
    return export_component(
        "prefix",
        module,
        (image,),
        (Tensor("image", (1, 3, image_size, image_size)),),
        (Tensor("features", tuple(features.shape)),),
    )
