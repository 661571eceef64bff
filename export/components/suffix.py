# SPDX-License-Identifier: Apache-2.0
"""``suffix.onnx``: the embeddings of N objects from the features of one image and their M_spec."""

from __future__ import annotations

import torch
from torch import nn

from export.onnx_graph import Component, Tensor, export_component


class SuffixGraph(nn.Module):
    """``features, prior_masks, adapter_gain -> embeddings``."""

    def __init__(self, encoder: nn.Module) -> None:
        """Wrap an encoder prepared for export."""
        super().__init__()
        self.encoder = encoder

    def forward(
        self, features: torch.Tensor, prior_masks: torch.Tensor, adapter_gain: torch.Tensor
    ) -> torch.Tensor:
        """Run the encoder from its first adapter on."""
        return self.encoder.suffix(features, prior_masks, adapter_gain)


def export_suffix(
    encoder: nn.Module, image_size: int, features_shape: tuple[int | str, ...]
) -> Component:
    """Export the suffix with a free number of objects N.

    Args:
        encoder: Prepared with :func:`~export.onnx_graph.prepare`.
        image_size: Side S of M_spec.
        features_shape: What the prefix gives, ``(1, C, h, w)``.
    """
    module = SuffixGraph(encoder)
    features = torch.zeros([int(size) for size in features_shape])
    examples = (features, torch.zeros(2, 1, image_size, image_size), torch.ones(2))
    with torch.no_grad():
        embeddings = module(*examples)
    return export_component(
        "suffix",
        module,
        examples,
        (
            Tensor("features", features_shape),
            Tensor("prior_masks", ("N", 1, image_size, image_size)),
            Tensor("adapter_gain", ("N",)),
        ),
        (Tensor("embeddings", ("N", *embeddings.shape[1:])),),
    )
