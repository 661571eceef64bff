# SPDX-License-Identifier: Apache-2.0
"""The graphs of a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_model import AmodalModel
from export.components.decoder import export_decoder
from export.components.prefix import export_prefix
from export.components.suffix import export_suffix
from export.half_storage import store_weights_as_half
from export.onnx_graph import Component
from export.packing import FeatureLayout
from export.prepare import prepare


def feature_layout(model: AmodalModel) -> FeatureLayout:
    """Find out what a model's prefix gives."""
    size = model.config.image_size
    with torch.inference_mode():
        return FeatureLayout.of(model.prefix(torch.zeros(1, 3, size, size)))


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
    prefix = export_prefix(prepared, layout, mode=mode)
    suffix = export_suffix(prepared, layout, prefix.outputs[0], mode=mode)
    components = [prefix, suffix, export_decoder(base.prompt_encoder, base.mask_decoder)]
    if precision == "fp32":
        return components
    return [replace(c, model=store_weights_as_half(c.model)) for c in components]
