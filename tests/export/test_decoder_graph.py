# SPDX-License-Identifier: Apache-2.0
"""The re-associated decoder is the official one."""

from __future__ import annotations

import pytest
import torch

from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
from amodal_ros.modeling.amodal_model import ObjectEmbeddings
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam
from amodal_ros.modeling.prompts import Prompts
from amodal_ros.modeling.sam_decoder import decode_objects
from export.graphs.decoder import DecoderGraph
from export.graphs.prepare import prepare
from tests.modeling.mobile_sam_support import random_adapters


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    sam = build_mobile_sam(128)
    with torch.no_grad():
        for parameter in sam.mask_decoder.parameters():  # biases and norms off their start values
            parameter.add_(0.05 * torch.randn_like(parameter))
    return sam


def _inputs(rows: int, objects: int, points: int):
    generator = torch.Generator().manual_seed(10 * objects + points)
    embeddings = torch.randn(rows, 256, 8, 8, generator=generator)
    coords = 128 * torch.rand(objects, points, 2, generator=generator)
    labels = torch.randint(-1, 4, (objects, points), generator=generator).float()
    return embeddings, coords, labels


def unadapted(sam, embeddings, prompts):
    priors, gain = torch.zeros(len(prompts), 1, 128, 128), torch.ones(len(prompts))
    objects = ObjectEmbeddings(embeddings, (), priors, gain)
    return decode_objects(sam, torch.nn.ModuleDict(), objects, prompts)


@torch.no_grad()
@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize(("rows", "objects", "points"), [(1, 1, 2), (3, 3, 2), (1, 3, 5)])
def test_equals_the_official_modules(sam, prepared, rows, objects, points):
    embeddings, coords, labels = _inputs(rows, objects, points)
    graph = DecoderGraph(sam.prompt_encoder, sam.mask_decoder).eval()
    graph = prepare(graph) if prepared else graph
    logits, iou = graph(embeddings, coords, labels)
    official = unadapted(sam, embeddings.expand(objects, -1, -1, -1), Prompts(coords, labels))
    expected, expected_iou = official.low_res_logits, official.predicted_iou
    scale = expected.abs().max()
    torch.testing.assert_close(logits, expected, atol=float(2e-5 * scale), rtol=0)
    torch.testing.assert_close(iou, expected_iou[:, 0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_each_object_sees_its_own_embedding_and_prompt(sam):
    embeddings, coords, labels = _inputs(3, 3, 2)
    graph = DecoderGraph(sam.prompt_encoder, sam.mask_decoder).eval()
    before, _ = graph(embeddings, coords, labels)
    embeddings[1] += 1.0
    coords[2] += 20.0
    after, _ = graph(embeddings, coords, labels)
    moved = (after - before).abs().amax(dim=(1, 2, 3))
    assert moved[0] == 0.0
    assert moved[1] > 1e-3
    assert moved[2] > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("positions", [(2,), (3,), (0, 1, 2, 3)])
def test_adapters_in_the_decoder_are_part_of_the_graph(sam, positions):
    config = AmodalConfig(
        base="mobile_sam", image_size=128, positions=(4,), decoder_positions=positions
    )
    model = random_adapters(AmodalMobileSam(config, sam))
    graph = prepare(DecoderGraph(sam.prompt_encoder, sam.mask_decoder, model.adapters))
    assert graph.is_adapted
    embeddings, coords, labels = _inputs(3, 3, 2)
    priors, gain = torch.rand(3, 1, 128, 128), torch.tensor([0.0, 1.0, 0.5])
    maps = (torch.randn(3, 32, 32, 32),) if 3 in positions else ()
    logits, iou = graph(embeddings, coords, labels, gain, priors, *maps)
    expected = model.decode(
        ObjectEmbeddings(embeddings, maps, priors, gain), Prompts(coords, labels)
    )
    scale = float(expected.low_res_logits.abs().max())
    torch.testing.assert_close(logits, expected.low_res_logits, atol=2e-5 * scale, rtol=0)
    torch.testing.assert_close(iou, expected.predicted_iou[:, 0], atol=1e-5, rtol=1e-5)
    plain = unadapted(sam, embeddings, Prompts(coords, labels)).low_res_logits
    difference = (logits - plain).abs().amax((1, 2, 3))
    assert difference[0] <= 2e-5 * scale
    assert difference[1:].min() > 1e-2
