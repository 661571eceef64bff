# SPDX-License-Identifier: Apache-2.0
"""Parameters and FLOPs (a multiply-add is two) of modules and of the family, counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from amodal_ros.modeling.amodal_mobile_sam import DEFAULT_POSITIONS
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.amodal_sam import VIT_SPECS
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.config import SAM2_MEMBERS, SAM_MEMBERS, AmodalConfig
from amodal_ros.modeling.sam2_base import STAGES

OBJECTS = 8  # of which the tables say what sharing the prefix saves


def count_parameters(module: nn.Module) -> int:
    """Count the scalars in a module's parameters (buffers excluded)."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(function: Callable[..., Any], *inputs: Any) -> int:
    """Count the floating point operations of one call (a multiply-add is two).

    Convolutions, matrix products and attention are counted; element-wise work is not.

    Args:
        function: A module or any callable over tensors; with tensors on the ``meta`` device
            nothing is computed.
        *inputs: What it is called with.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function(*inputs)
    return int(counter.get_total_flops())


@dataclass(frozen=True)
class Variant:
    """One row: a member with its adapters at certain places."""

    base: str
    encoder: str
    positions: tuple[int, ...]
    where: str


VARIANTS = (
    Variant("sam_vit_b", "SAM ViT-B", (), "blocks {}"),
    Variant("sam_vit_l", "SAM ViT-L", (), "blocks {}"),
    Variant("sam_vit_h", "SAM ViT-H", (), "blocks {}"),
    *(
        Variant(f"sam2.1_hiera_{size}", f"SAM 2 Hiera-{size.upper()}", positions, "stages {}")
        for size in ("t", "s", "b+", "l")
        for positions in ((), (2, 3, 4))
    ),
    Variant("mobile_sam", "MobileSAM TinyViT", (), "blocks {}, neck"),
)


@dataclass(frozen=True)
class Cost:
    """Parameters and FLOPs (a multiply-add is two) of a variant, for one object at 1024 px."""

    variant: Variant
    positions: tuple[int, ...]
    base_parameters: int
    encoder_parameters: int
    adapter_parameters: int
    wide_parameters: int
    encoder_flops: int
    prefix_flops: int
    suffix_flops: int
    wide_suffix_flops: int
    decoder_flops: int

    @property
    def adapter_flops(self) -> int:
        """What the adapters add to the encoder."""
        return self.prefix_flops + self.suffix_flops - self.encoder_flops

    @property
    def wide_flops(self) -> int:
        """What full-width adapters add to the encoder."""
        return self.prefix_flops + self.wide_suffix_flops - self.encoder_flops

    @property
    def suffix_share(self) -> float:
        """Part of the adapted encoder that runs once per object."""
        return self.suffix_flops / (self.prefix_flops + self.suffix_flops)

    @property
    def shared_ratio(self) -> float:
        """Encoder cost of several objects and their visible pass, over that of the naive way."""
        rows = OBJECTS + 1
        naive = rows * (self.prefix_flops + self.suffix_flops)
        return (self.prefix_flops + rows * self.suffix_flops) / naive


def cost_of(variant: Variant) -> Cost:
    """Count one variant; it is built without weights, and nothing is computed."""
    config = AmodalConfig(base=variant.base, positions=variant.positions)
    adapted = _build(config)
    wide = _build(AmodalConfig(**{**config.to_dict(), "hidden_dim": None}))
    whole = _build(AmodalConfig(base=variant.base, place="decoder"))
    prefix_flops, suffix_flops, decoder_flops = _count(adapted)
    return Cost(
        variant=variant,
        positions=_positions(adapted),
        base_parameters=count_parameters(adapted.base),
        encoder_parameters=count_parameters(adapted.base.image_encoder),
        adapter_parameters=count_parameters(adapted.adapters),
        wide_parameters=count_parameters(wide.adapters),
        encoder_flops=_count(whole)[0],
        prefix_flops=prefix_flops,
        suffix_flops=suffix_flops,
        wide_suffix_flops=_count(wide)[1],
        decoder_flops=decoder_flops,
    )


def _build(config: AmodalConfig) -> AmodalModel:
    logging.getLogger("amodal_ros.modeling.build").setLevel(logging.ERROR)
    with empty_weights():
        return build_amodal(config).eval()


def _count(model: AmodalModel) -> tuple[int, int, int]:
    size = model.config.image_size
    image = torch.zeros(1, 3, size, size, device="meta")
    prior = torch.zeros(1, 1, size, size, device="meta")
    gain = torch.ones(1, device="meta")
    prompts = model.build_prompts(boxes_xyxy=torch.zeros(1, 4, device="meta"))
    with torch.no_grad():
        features = model.prefix(image)
        embeddings = model.suffix(features, prior, gain)
    return (
        count_flops(model.prefix, image),
        count_flops(model.suffix, features, prior, gain),
        count_flops(model.decode, embeddings, prompts),
    )


def _positions(model: AmodalModel) -> tuple[int, ...]:
    base = model.config.base
    if model.config.positions:
        return model.config.positions
    if base in SAM_MEMBERS:
        return VIT_SPECS[base].default_positions()
    return STAGES if base in SAM2_MEMBERS else DEFAULT_POSITIONS[:-1]


class _RealSchedules(TorchFunctionMode):
    """Hiera and TinyViT read drop-path rates off a ``linspace`` while they are built."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)


@contextmanager
def empty_weights() -> Iterator[None]:
    """Build models on the ``meta`` device while the context lasts: shapes without values."""
    with torch.device("meta"), _RealSchedules():
        yield
