# SPDX-License-Identifier: Apache-2.0
"""``prefix.onnx`` and ``suffix.onnx``: the encoder before and from its first adapter on.

The prefix gives what all objects of an image share or, with mode ``roi``, what N crops have; the
suffix makes N objects' embeddings of it and of their M_spec.
"""

from __future__ import annotations

import torch
from torch import nn

from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.packing import HIGH_RES, FeatureLayout
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


class SuffixGraph(nn.Module):
    """``features, prior_masks, adapter_gain -> embeddings``, and high-resolution maps, if any."""

    def __init__(self, model: AmodalModel, layout: FeatureLayout) -> None:
        """Wrap a model prepared for export."""
        super().__init__()
        self.model = model
        self.layout = layout

    def forward(
        self, features: torch.Tensor, prior_masks: torch.Tensor, adapter_gain: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Run the encoder from its first adapter on; every output has a row per object."""
        found = self.model.suffix(self.layout.unpack(features), prior_masks, adapter_gain)
        rows = prior_masks.shape[0]
        return (found.embeddings, *(m.expand(rows, -1, -1, -1) for m in found.high_res))


def export_suffix(
    model: AmodalModel, layout: FeatureLayout, features: Tensor, *, mode: str
) -> Component:
    """Export the suffix with a free number of objects N.

    Args:
        model: Prepared with :func:`~export.graphs.prepare.prepare`.
        layout: Of what its prefix gives.
        features: The prefix's output; one row that all objects share or, with mode ``roi``, N.
        mode: ``full`` or ``roi``.
    """
    size = model.config.image_size
    module = SuffixGraph(model, layout)
    rows = 2 if mode == "roi" else 1
    examples = (
        torch.zeros(rows, *(int(length) for length in features.shape[1:])),
        torch.zeros(2, 1, size, size),
        torch.ones(2),
    )
    with torch.no_grad():
        found = module(*examples)
    outputs = (
        Tensor(name, ("N", *value.shape[1:]))
        for name, value in zip(("embeddings", *HIGH_RES), found, strict=False)
    )
    return export_component(
        "suffix",
        module,
        examples,
        (
            features,
            Tensor("prior_masks", ("N", 1, size, size)),
            Tensor("adapter_gain", ("N",)),
        ),
        tuple(outputs),
    )
