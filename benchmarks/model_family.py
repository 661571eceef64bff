# SPDX-License-Identifier: Apache-2.0
"""Count parameters and FLOPs of every member of the family, for ``docs/model-family.md``.

``python -m benchmarks.model_family`` rewrites the tables in the document, ``--check`` says whether
they are stale. Nothing is computed: the models are built without weights and the operations of one
forward pass at 1024 x 1024 are counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "model-family.md"

OBJECTS = 8


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


def measure(variant: Variant, image_size: int = 1024) -> Cost:
    """Count one variant."""
    from amodal_ros.modeling.config import AmodalConfig
    from amodal_ros.modeling.cost import count_parameters

    config = AmodalConfig(base=variant.base, positions=variant.positions, image_size=image_size)
    adapted = _build(config)
    wide = _build(AmodalConfig(**{**config.to_dict(), "hidden_dim": None}))
    whole = _build(AmodalConfig(base=variant.base, place="decoder", image_size=image_size))
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


def _build(config):
    import logging

    from amodal_ros.modeling.build import build_amodal
    from amodal_ros.modeling.empty_weights import empty_weights

    logging.getLogger("amodal_ros.modeling.build").setLevel(logging.ERROR)
    with empty_weights():
        return build_amodal(config).eval()


def _count(model) -> tuple[int, int, int]:
    import torch

    from amodal_ros.modeling.cost import count_flops

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


def _positions(model) -> tuple[int, ...]:
    if model.config.positions:
        return model.config.positions
    from amodal_ros.modeling.config import SAM2_MEMBERS, SAM_MEMBERS

    if model.config.base in SAM_MEMBERS:
        from amodal_ros.modeling.sam_base import VIT_SPECS

        return VIT_SPECS[model.config.base].default_positions()
    if model.config.base in SAM2_MEMBERS:
        from amodal_ros.modeling.hiera_layout import STAGES

        return STAGES
    from amodal_ros.modeling.amodal_mobile_sam import DEFAULT_POSITIONS

    return DEFAULT_POSITIONS[:-1]


def row(cost: Cost) -> str:
    """Write one row of the table."""
    where = cost.variant.where.format(", ".join(map(str, cost.positions)))
    millions = [n / 1e6 for n in (cost.base_parameters, cost.encoder_parameters)]
    giga = [
        n / 1e9
        for n in (cost.encoder_flops, cost.adapter_flops, cost.prefix_flops, cost.suffix_flops)
    ]
    cells = [
        cost.variant.encoder,
        where,
        *(f"{value:.1f}" for value in millions),
        f"{cost.adapter_parameters / 1e6:.2f}",
        f"{cost.wide_parameters / 1e6:.1f}",
        *(f"{value:.1f}" for value in giga),
        f"{cost.wide_flops / 1e9:.0f}",
        f"{100 * cost.suffix_share:.0f} %",
        f"{cost.shared_ratio:.2f}",
        f"{cost.decoder_flops / 1e9:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEADER = (
    "| Encoder | adapters before | base M | encoder M | adapters M | full-width M | encoder GFLOP "
    "| + adapters | prefix | suffix | + full-width | suffix share | 8 objects / naive "
    "| decoder GFLOP |\n|---|---|" + "---:|" * 12
)


def stale_rows(document: str, rows: Sequence[str]) -> list[str]:
    """Return the rows that the document does not hold."""
    return [line for line in rows if line not in document]


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the document, or check it; returns 1 when a check finds it stale."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.model_family")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument(
        "--only", nargs="*", metavar="MEMBER", help="with --check: look at these members alone"
    )
    options = parser.parse_args(argv)
    if options.only and not options.check:
        parser.error("--only goes with --check")
    chosen = [v for v in VARIANTS if not options.only or v.base in options.only]
    rows = [row(measure(variant)) for variant in chosen]
    document = DOCUMENT.read_text(encoding="utf-8")
    if not options.check:
        from amodal_ros.reporting import put_block

        table = "\n".join([HEADER, *rows])
        put_block(DOCUMENT, "family", table)
        return 0
    stale = stale_rows(document, [HEADER, *rows])
    for line in stale:
        print(f"{DOCUMENT.name} lacks: {line}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
