# SPDX-License-Identifier: Apache-2.0
"""From a torch model to all of its graphs; of these, here, ``prefix.onnx`` and ``suffix.onnx``.

They are the encoder before and from its first adapter on. The prefix gives what all objects of an
image share or, with mode ``roi``, what N crops have; the suffix makes N objects' embeddings of it
and of their M_spec.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.config import SAM2_MEMBERS
from amodal_ros.modeling.sam2_base import STRIDES
from amodal_ros.modeling.torch_backend import HIGH_RES, FeatureLayout, feature_layout
from amodal_ros.modeling.two_mask_head import two_mask_head
from export.graphs.decoder import export_decoder
from export.graphs.memory_attention import export_memory_attention
from export.graphs.memory_frame import export_memory_decoder, export_memory_encoder
from export.graphs.onnx_graph import Component, Tensor, export_component, store_weights_as_half
from export.graphs.prepare import bake_positions, prepare
from export.graphs.sam2_decoder import export_sam2_decoder


class PrefixGraph(nn.Module):
    """``image -> features``."""

    def __init__(self, model: AmodalModel, layout: FeatureLayout) -> None:
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


def export_components(model: AmodalModel, *, mode: str, precision: str) -> list[Component]:
    """Export the graphs of a model.

    Args:
        model: In evaluation mode, its adapters in the encoder.
        mode: ``full`` or ``roi``.
        precision: Of the stored weights, ``fp16`` or ``fp32``.
    """
    if mode not in ("full", "roi"):
        raise InvalidInputError(f"mode: expected full or roi, got {mode!r}")
    base: Any = model.base
    layout = feature_layout(model)
    prepared = prepare(model)
    if model.config.base in SAM2_MEMBERS:
        encoder: Any = prepared.base.image_encoder
        bake_positions(encoder.trunk, model.config.image_size // STRIDES[0])
    prefix = export_prefix(prepared, layout, mode=mode)
    suffix = export_suffix(prepared, layout, prefix.outputs[0], mode=mode)
    if model.config.base in SAM2_MEMBERS:
        decoder = export_sam2_decoder(base, two_mask_head(prepared.adapters))
    else:
        decoder = export_decoder(base.prompt_encoder, base.mask_decoder, prepared.adapters)
    return _stored([prefix, suffix, decoder], precision)


def export_video(model: AmodalModel, *, mode: str, precision: str) -> list[Component]:
    """Export the graphs of SAM 2's video path; none of other members or of crops."""
    if mode != "full" or model.config.base not in SAM2_MEMBERS:
        return []
    base: Any = model.base
    graphs = [
        export_memory_attention(base),
        export_memory_encoder(base),
        export_memory_decoder(base, two_mask_head(model.adapters)),
    ]
    return _stored(graphs, precision)


def _stored(components: list[Component], precision: str) -> list[Component]:
    if precision == "fp32":
        return components
    return [replace(c, model=store_weights_as_half(c.model)) for c in components]
