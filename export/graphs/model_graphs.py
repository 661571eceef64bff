# SPDX-License-Identifier: Apache-2.0
"""From a torch model to all of its graphs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.config import SAM2_MEMBERS
from amodal_ros.modeling.packing import feature_layout
from amodal_ros.modeling.sam2_base import STRIDES
from amodal_ros.modeling.two_mask_head import two_mask_head
from export.graphs.decoder import export_decoder
from export.graphs.encoder import export_prefix, export_suffix
from export.graphs.memory_attention import export_memory_attention
from export.graphs.memory_decoder import export_memory_decoder
from export.graphs.memory_encoder import export_memory_encoder
from export.graphs.onnx_graph import Component, store_weights_as_half
from export.graphs.prepare import bake_positions, prepare
from export.graphs.sam2_decoder import export_sam2_decoder


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
