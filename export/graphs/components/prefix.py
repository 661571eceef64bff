# SPDX-License-Identifier: Apache-2.0
"""``prefix.onnx``: what all objects of an image share or, with mode ``roi``, of N crops."""

from __future__ import annotations

import torch
from torch import nn

from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.packing import FeatureLayout
from export.graphs.onnx_graph import Component, Tensor, export_component


class PrefixGraph(nn.Module):
    """``image -> features``."""

    def __init__(self, model: AmodalModel, layout: FeatureLayout) -> None:
        """Wrap a model prepared for export."""
        super().__init__()
        self.model = model
        self.layout = layout

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Run the encoder up to its first adapter."""
        return self.layout.pack(self.model.prefix(image))


def export_prefix(model: AmodalModel, layout: FeatureLayout, *, mode: str) -> Component:
    """Export the prefix for one image or, with mode ``roi``, for N crops.

    Args:
        model: Prepared with :func:`~export.graphs.prepare.prepare`.
        layout: Of what its prefix gives.
        mode: ``full`` or ``roi``.
    """
    size = model.config.image_size
    rows: tuple[int | str, int] = ("N", 2) if mode == "roi" else (1, 1)
    module = PrefixGraph(model, layout)
    image = torch.zeros(rows[1], 3, size, size)
    with torch.no_grad():
        features = module(image)
    return export_component(
        "prefix",
        module,
        (image,),
        (Tensor("image", (rows[0], 3, size, size)),),
        (Tensor("features", (rows[0], *features.shape[1:])),),
    )
