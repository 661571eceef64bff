# SPDX-License-Identifier: Apache-2.0
"""The cost table of ``docs/model-family.md``."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from amodal_ros.modeling import cost
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.cost import count_flops
from amodal_ros.reporting import generated_block
from benchmarks import model_family
from tests.modeling.family_support import TINY_VIT, make_case


@pytest.mark.parametrize("member", ["sam_vit_b", "mobile_sam"])
def test_is_not_stale(member, capsys):
    assert model_family.main(["--check", "--only", member]) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_is_not_stale_anywhere(capsys):
    assert model_family.main(["--check"]) == 0, capsys.readouterr().err


def test_staleness_is_noticed(tmp_path, monkeypatch, capsys):
    document = model_family.DOCUMENT.read_text(encoding="utf-8")
    stale = tmp_path / "model-family.md"
    stale.write_text(document.replace("| MobileSAM TinyViT |", "| MobileSAM TinyViT | x |"))
    monkeypatch.setattr(model_family, "DOCUMENT", stale)
    assert model_family.main(["--check", "--only", "mobile_sam"]) == 1
    assert "model-family.md lacks: | MobileSAM TinyViT |" in capsys.readouterr().err


def test_every_variant_is_in_the_document():
    document = model_family.DOCUMENT.read_text(encoding="utf-8")
    table = generated_block(document, "family")
    assert len(table.splitlines()) == 2 + len(cost.VARIANTS)


def test_counts_without_weights_are_those_with():
    """On the CPU with plain attention, whose products the counter sees."""
    model = build_amodal(AmodalConfig(base="sam2.1_hiera_t", image_size=128))
    image, prior, gain = torch.zeros(1, 3, 128, 128), torch.zeros(1, 1, 128, 128), torch.ones(1)
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        features = model.prefix(image)
        on_cpu = [
            count_flops(model.prefix, image),
            count_flops(model.suffix, features, prior, gain),
        ]
    empty = cost._build(model.config)
    moved = tuple(f.to("meta") for f in features)
    assert on_cpu == [
        count_flops(empty.prefix, image.to("meta")),
        count_flops(empty.suffix, moved, prior.to("meta"), gain.to("meta")),
    ]


def test_flops_of_a_vit_block_by_hand():
    """One global block on 8 x 8 tokens of 48 channels, and its relative positions."""
    block = make_case("sam_vit_b").official.image_encoder.blocks[1]
    n, c, hidden, head = 64, 48, 192, 24
    products = n * c * 3 * c + n * c * c + 2 * n * c * hidden + 2 * n * n * c
    relative = 2 * 2 * n * 8 * head  # heights and widths, two heads
    assert count_flops(block, torch.zeros(1, 8, 8, 48)) == 2 * (products + relative)
    assert TINY_VIT.embed_dim == c
