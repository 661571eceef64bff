# SPDX-License-Identifier: Apache-2.0
"""The Spatial Completion Adapter: Eq. 5, its start, its gain, and what M_spec does."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.cost import count_flops, count_parameters
from amodal_ros.modeling.sca import (
    ConventionalAdapter,
    GatedConvolution,
    SpatialCompletionAdapter,
    resize_prior,
)

C, SIDE, STRIDE = 12, 6, 4


def _inputs(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, C, SIDE, SIDE, generator=generator)
    prior = (torch.rand(n, 1, SIDE * STRIDE, SIDE * STRIDE, generator=generator) > 0.5).float()
    return features, prior, torch.ones(n)


def _adapter(kind: str, *, trained: bool) -> torch.nn.Module:
    torch.manual_seed(1)
    adapter: torch.nn.Module
    if kind == "conventional":
        adapter = ConventionalAdapter(C, prior_stride=STRIDE, hidden_dim=8)
    else:
        hidden_dim = 8 if kind == "bottleneck" else None
        adapter = SpatialCompletionAdapter(C, prior_stride=STRIDE, hidden_dim=hidden_dim)
    if trained:
        for parameter in adapter.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return adapter


KINDS = ("bottleneck", "full_width", "conventional")


def test_gated_convolution_is_equation_5_on_the_concatenation():
    torch.manual_seed(0)
    gated = GatedConvolution(C, 5)
    features, prior, _ = _inputs(2)
    prior = resize_prior(prior, STRIDE)
    both = torch.cat([features, prior], dim=1)
    gate = F.conv2d(both, gated.gate.weight, gated.gate.bias, padding=1)
    feature = F.conv2d(both, gated.feature.weight, gated.feature.bias, padding=1)
    expected = torch.sigmoid(gate) * F.leaky_relu(feature, 0.01)
    torch.testing.assert_close(gated(features, prior), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_untrained_adapter_returns_its_input(kind):
    features, prior, gain = _inputs(3)
    assert torch.equal(_adapter(kind, trained=False)(features, prior, gain), features)


@pytest.mark.parametrize("kind", KINDS)
def test_gain_scales_each_object_by_its_own_factor(kind):
    adapter = _adapter(kind, trained=True)
    features, prior, _ = _inputs(3)
    full = adapter(features, prior, torch.ones(3)) - features
    assert full.abs().amax(dim=(1, 2, 3)).min() > 1e-3
    out = adapter(features, prior, torch.tensor([0.0, 1.0, 0.5]))
    assert torch.equal(out[0], features[0])
    torch.testing.assert_close(out[1], features[1] + full[1])
    torch.testing.assert_close(out[2], features[2] + 0.5 * full[2])


@pytest.mark.parametrize("kind", KINDS)
def test_one_image_shared_by_many_objects_equals_repeating_it(kind):
    adapter = _adapter(kind, trained=True)
    features, prior, gain = _inputs(4)
    shared = adapter(features[:1], prior, gain)
    repeated = adapter(features[:1].expand(4, -1, -1, -1), prior, gain)
    assert shared.shape == (4, C, SIDE, SIDE)
    torch.testing.assert_close(shared, repeated, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "moves"), [("bottleneck", True), ("full_width", True), ("conventional", False)]
)
def test_prior_moves_the_sca_and_not_the_conventional_adapter(kind, moves):
    adapter = _adapter(kind, trained=True)
    features, prior, gain = _inputs(1)
    difference = adapter(features, prior, gain) - adapter(features, 1 - prior, gain)
    assert bool(difference.abs().max() > 1e-3) is moves


def test_prior_is_given_again_at_each_iteration():
    adapter = _adapter("bottleneck", trained=True)
    features, prior, gain = _inputs(1)
    reference = adapter(features, prior, gain)
    for gated in adapter.gated:
        saved = gated.gate.weight.detach().clone()
        with torch.no_grad():
            gated.gate.weight[:, -1] = 0.0
        assert not torch.allclose(adapter(features, prior, gain), reference, atol=1e-4)
        with torch.no_grad():
            gated.gate.weight.copy_(saved)
    assert len(adapter.gated) == 3


def test_full_width_form_with_blend_one_is_the_literal_equation():
    adapter = _adapter("full_width", trained=True)
    with torch.no_grad():
        adapter.blend.fill_(1.0)
    features, prior, gain = _inputs(2)
    hidden = features
    for gated in adapter.gated:
        hidden = gated(hidden, resize_prior(prior, STRIDE))
    torch.testing.assert_close(adapter(features, prior, gain), hidden, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_first_step_from_the_untrained_start_has_a_gradient(kind):
    adapter = _adapter(kind, trained=False)
    features, prior, gain = _inputs(2)
    adapter(features, prior, gain).square().sum().backward()
    moved = [name for name, p in adapter.named_parameters() if p.grad is not None and p.grad.any()]
    assert moved
    assert set(moved) <= {"expand.weight", "expand.bias", "blend"}


def test_resize_prior_averages_cells():
    prior = torch.zeros(1, 1, 8, 8)
    prior[..., :4, :2] = 1.0
    torch.testing.assert_close(resize_prior(prior, 4), torch.tensor([[[[0.5, 0.0], [0.0, 0.0]]]]))
    assert resize_prior(prior, 1) is prior


def test_wrong_prior_is_refused_with_both_shapes():
    adapter = _adapter("bottleneck", trained=False)
    features, _, gain = _inputs(1)
    with pytest.raises(InvalidInputError, match=r"expected \(N, 1, 24, 24\)"):
        adapter(features, torch.zeros(1, 1, 23, 24), gain)


def test_dilated_adapter_reaches_27_cells_for_the_cost_of_7():
    side, changed = 41, {}
    for dilated in (False, True):
        torch.manual_seed(1)
        adapter = SpatialCompletionAdapter(C, prior_stride=1, hidden_dim=8, dilated=dilated)
        for parameter in adapter.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        point = torch.zeros(1, 1, side, side)
        blank = (torch.zeros(1, C, side, side), point, torch.ones(1))
        at_rest = adapter(*blank)
        # M_spec enters every iteration, so that one cell of it reaches as far as the features do.
        point = point.clone()
        point[..., side // 2, side // 2] = 1.0
        change = (adapter(blank[0], point, blank[2]) - at_rest).abs().amax(dim=(0, 1))
        rows, columns = torch.nonzero(change > 0, as_tuple=True)
        spans = (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1)
        changed[dilated] = (spans, count_parameters(adapter), count_flops(adapter, *blank))
        if dilated:
            middle = slice(side // 2 - 13, side // 2 + 14)
            assert bool((change[middle, middle] > 0).all()), "no gap"
    assert changed[False][0] == (7, 7)
    assert changed[True][0] == (27, 27)
    assert changed[False][1:] == changed[True][1:]


def test_an_open_start_keeps_the_size_of_what_comes_in():
    torch.manual_seed(0)
    sizes = {}
    for dilated in (False, True):
        adapter = SpatialCompletionAdapter(64, prior_stride=1, hidden_dim=64, dilated=dilated)
        hidden, prior = torch.randn(1, 64, 40, 40), torch.ones(1, 1, 40, 40)
        for gated in adapter.gated:
            hidden = gated(hidden, prior)
        sizes[dilated] = float(hidden.detach().pow(2).mean().sqrt())
    assert sizes[False] < 0.1
    assert 0.4 < sizes[True] < 2.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dim": 0}, "hidden_dim must be at least 1, got 0"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"kernel_size": 2}, "kernel_size must be odd, got 2"),
    ],
)
def test_bad_sizes_are_refused_by_name(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        SpatialCompletionAdapter(C, prior_stride=STRIDE, **arguments)


def test_counts_match_the_formula():
    adapter = SpatialCompletionAdapter(C, prior_stride=STRIDE, hidden_dim=8)
    gated = 2 * ((8 + 1) * 8 * 9 + 8)
    assert count_parameters(adapter) == (C * 8 + 8) + 3 * gated + (8 * C + C)
    flops = count_flops(adapter, *_inputs(1))
    per_cell = 2 * (C * 8 + 3 * 2 * (8 + 1) * 8 * 9 + 8 * C)
    assert flops == per_cell * SIDE * SIDE
