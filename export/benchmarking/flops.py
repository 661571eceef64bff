# SPDX-License-Identifier: Apache-2.0
"""FLOPs (a multiply-add is two) of model folders and of the family, counted, not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.modeling.cost import VARIANTS, Cost, Variant, cost_of


def folder_flops(manifest: ModelManifest) -> dict[str, float]:
    """GFLOP of one image through the prefix, and of one object through suffix and decoder."""
    config: Mapping[str, Any] = manifest.source["config"]
    variant = Variant(config["base"], config["base"], tuple(config["positions"]), "")
    return _giga(cost_of(variant, manifest.image_size))


def family_shares() -> list[dict[str, Any]]:
    """For each encoder of the family at 1024 px, what part of it runs once per object."""
    rows = []
    for variant in VARIANTS:
        cost = cost_of(variant)
        rows.append(
            {
                "encoder": variant.encoder,
                "adapters_before": variant.where.format(", ".join(map(str, cost.positions))),
                **_giga(cost),
                "suffix_share": round(cost.suffix_share, 4),
                "eight_objects_over_naive": round(cost.shared_ratio, 4),
            }
        )
    return rows


def _giga(cost: Cost) -> dict[str, float]:
    return {
        "prefix_gflop": round(cost.prefix_flops / 1e9, 3),
        "suffix_gflop": round(cost.suffix_flops / 1e9, 3),
        "decoder_gflop": round(cost.decoder_flops / 1e9, 3),
    }
