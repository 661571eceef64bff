# SPDX-License-Identifier: Apache-2.0
"""The graphs of SAM 2's video path are the official methods; see `test_family_export` for ONNX."""

from __future__ import annotations

import pytest
import torch

from export.gate import memory_cases
from export.graphs.memory_attention import MemoryAttentionGraph, RotaryAttention
from export.graphs.memory_frame import MemoryDecoderGraph, MemoryEncoderGraph
from export.graphs.prepare import prepare
from tests.modeling.family_support import SMALL, official_sam2, randomise


@pytest.fixture(scope="module", params=["sam2_hiera_t", "sam2.1_hiera_t"])
def base(request):
    """SAM 2.1 as its video predictor runs it, SAM 2 without postprocessing."""
    is_new = request.param == "sam2.1_hiera_t"
    torch.manual_seed(0)
    built = official_sam2(request.param, SMALL, video=is_new, postprocessing=is_new, narrow=True)
    return randomise(built).eval()


@torch.no_grad()
@pytest.mark.parametrize("presence", [-5.0, 5.0], ids=["hidden", "there"])
def test_equal_the_official_methods(base, presence):
    head = base.sam_mask_decoder.pred_obj_score_head
    (head.layers[-1] if hasattr(head, "layers") else head).bias.fill_(presence)
    graphs = {
        "memory_attention": prepare(MemoryAttentionGraph(base)),
        "memory_encoder": prepare(MemoryEncoderGraph(base)),
        "memory_decoder": prepare(MemoryDecoderGraph(base)),
    }
    seen = set()
    for name, inputs, expected in memory_cases(base, torch.Generator().manual_seed(0)):
        seen.add(name)
        if name == "memory_encoder" and not base.binarize_mask_from_pts_for_mem_enc:
            del inputs["prompted"]
        if name == "memory_decoder":
            del inputs["adapter_gain"]  # of a model with a head
            assert ((expected["object_score"] > 0) == (presence > 0)).all()
        found = graphs[name](*inputs.values())
        found = found if isinstance(found, tuple) else (found,)
        for (output, wanted), value in zip(expected.items(), found, strict=True):
            scale = float(wanted.abs().max())
            message = f"{name}.{output}"
            torch.testing.assert_close(
                value, wanted, atol=2e-5 * scale, rtol=0, msg=lambda m, n=message: f"{n}: {m}"
            )
    assert seen == set(graphs)


@torch.no_grad()
def test_what_is_remembered_and_when_matters(base):
    graph = prepare(MemoryAttentionGraph(base))
    cases = memory_cases(base, torch.Generator().manual_seed(1))
    inputs = next(i for _, i, _ in cases if "memories" in i and i["memories"].shape[1] > 1)
    before = graph(*inputs.values())
    changes = {
        "memories": inputs["memories"].flip(1),
        "memory_ages": inputs["memory_ages"].flip(1),
        "object_pointers": -inputs["object_pointers"],  # SAM 2 does not see their order, 2.1 does
    }
    for name, values in changes.items():
        changed = {**inputs, name: values}
        assert (graph(*changed.values()) - before).abs().max() > 1e-4


@torch.no_grad()
def test_rotation_is_by_the_distance_of_cells(base):
    """Scores of equal contents depend on where queries and keys are relative to each other."""
    attention = RotaryAttention(base.memory_attention.layers[0].self_attn, SMALL // 16)
    side, width = SMALL // 16, 2 * attention.cosine.shape[1]
    turned = attention.rotate(torch.ones(side * side, width))
    scores = (turned @ turned.T).reshape(side, side, side, side)
    torch.testing.assert_close(scores[0, 0, 1, 2], scores[3, 4, 4, 6])
    assert (scores[0, 0, 0, 0] - scores[0, 0, 1, 2]).abs() > 1e-2
