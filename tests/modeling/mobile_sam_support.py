# SPDX-License-Identifier: Apache-2.0
"""Random weights in MobileSAM's official layout that no part of the model may ignore."""

from __future__ import annotations

import torch

from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam

SMALL = 256


def random_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Official weights with random batch norm statistics and attention biases."""
    torch.manual_seed(seed)
    state = build_mobile_sam(image_size=64).state_dict()
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif name.endswith(("running_mean", "bn.bias", "attention_biases")):
            tensor.normal_(std=0.3)
        elif name.endswith("bn.weight"):
            tensor.uniform_(0.5, 1.5)
    return state


def random_adapters(model: AmodalMobileSam, seed: int = 1) -> AmodalMobileSam:
    """Give the adapters weights as training would: none of them zero."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for adapter in model.adapters.values():
            adapter.expand.weight.normal_(std=0.1)
            adapter.expand.bias.normal_(std=0.1)
    return model


def small_model(state: dict[str, torch.Tensor], **options: object) -> AmodalMobileSam:
    """Build a model of 256 pixels."""
    config = AmodalConfig.from_dict({"base": "mobile_sam", "image_size": SMALL, **options})
    return AmodalMobileSam.from_state(config, state)


def square_priors(count: int, size: int) -> torch.Tensor:
    """M_spec of N objects, each another square: ``(N, 1, size, size)``."""
    priors = torch.zeros(count, 1, size, size)
    for i in range(count):
        start = size * (i + 1) // (2 * count + 2)
        priors[i, :, start : start + size // 2, start : start + size // 3] = 1.0
    return priors
