# SPDX-License-Identifier: Apache-2.0
"""Adapters in MobileSAM's decoder beside those in its encoder."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.decoder_adapters import MaskAdapter
from tests.modeling.mobile_sam_support import (
    SMALL,
    random_adapters,
    random_state,
    small_model,
    square_priors,
)

OPTIONS = {"positions": (4, 12), "hidden_dim": 16}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return random_state()


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn(1, 3, SMALL, SMALL, generator=torch.Generator().manual_seed(3))


def _model(state: dict[str, torch.Tensor], *decoder_positions: int) -> AmodalMobileSam:
    return small_model(state, decoder_positions=decoder_positions, **OPTIONS)


@torch.no_grad()
def _logits(model, image, priors, gain, *, multimask: bool = False) -> torch.Tensor:
    embeddings = model.suffix(model.prefix(image), priors, gain)
    boxes = torch.tensor([[40.0, 40, 200, 180]]).expand(len(priors), -1)
    prompts = model.build_prompts(boxes_xyxy=boxes)
    return model.decode(embeddings, prompts, multimask_output=multimask).low_res_logits


@pytest.mark.parametrize("multimask", [False, True])
def test_untrained_they_change_nothing_and_trained_only_with_a_gain(state, image, multimask):
    priors, one = square_priors(2, SMALL), torch.ones(2)
    plain = random_adapters(_model(state))
    more = _model(state, 0, 1, 2, 3)
    more.load_state_dict(plain.state_dict(), strict=False)
    expected = _logits(plain, image, priors, one, multimask=multimask)
    found = _logits(more, image, priors, one, multimask=multimask)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    random_adapters(more)
    gain = torch.tensor([0.0, 1.0])
    base = _logits(plain, image, priors, torch.zeros(2), multimask=multimask)
    found = _logits(more, image, priors, gain, multimask=multimask)
    torch.testing.assert_close(found[:1], base[:1], atol=1e-5, rtol=0)
    assert (found[1] - expected[1]).abs().amax((1, 2)).min() > 1e-2


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_each_place_changes_the_mask_and_gets_a_gradient(state, image, position):
    model = _model(state, position)
    name = f"adapters.decoder_{position}"
    before = _logits(model, image, square_priors(1, SMALL), torch.ones(1))
    with torch.no_grad():
        model.get_submodule(name).expand.weight.normal_(std=0.1)
    after = _logits(model, image, square_priors(1, SMALL), torch.ones(1))
    assert (after - before).abs().max() > 1e-3
    embeddings = model.suffix(model.prefix(image), square_priors(1, SMALL))
    prompts = model.build_prompts(boxes_xyxy=torch.tensor([[40.0, 40, 200, 180]]))
    model.decode(embeddings, prompts).low_res_logits.sum().backward()
    own = [p for n, p in model.named_parameters() if n.startswith(name)]
    assert own
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in own)


def test_the_mask_adapter_sees_m_spec_cell_by_cell_and_no_further_than_it_says(state, image):
    """A cell of 4 pixels matters, which the adapters of the encoder see as a 16th of one."""
    model = random_adapters(_model(state, 3))
    priors = square_priors(1, SMALL)
    embeddings = model.suffix(model.prefix(image), priors)
    moved = priors.clone()
    moved[:, :, 128:132, 128:132] = 1.0 - moved[:, :, 128:132, 128:132]
    prompts = model.build_prompts(boxes_xyxy=torch.tensor([[40.0, 40, 200, 180]]))
    with torch.no_grad():
        before = model.decode(embeddings, prompts).low_res_logits
        after = model.decode(replace(embeddings, prior_masks=moved), prompts).low_res_logits
    changed = (after != before)[0, 0].nonzero()
    assert len(changed) > 9
    assert changed.min() >= 32 - 13  # dilations 1, 3 and 9: 13 cells to each side
    assert changed.max() <= 32 + 13


@torch.no_grad()
def test_cells_as_rows_are_reduced_as_in_an_image():
    torch.manual_seed(0)
    adapter = MaskAdapter(8, 4, hidden_dim=6)
    upscaled, logits = torch.randn(2, 8, 5, 5), 10 * torch.randn(2, 1, 5, 5)
    priors, gain, nothing = torch.rand(2, 1, 20, 20), torch.ones(2), torch.zeros(1, 6, 5, 5)
    adapter.expand.weight.normal_()
    rows = adapter.reduce_rows(
        upscaled.flatten(2).transpose(1, 2), logits.flatten(2).transpose(1, 2)
    )
    hidden = rows.transpose(1, 2).unflatten(2, (5, 5))
    expected = adapter(logits, upscaled, nothing, priors, gain)
    torch.testing.assert_close(adapter.correct(logits, hidden, priors, gain), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder_positions": (3, 2)}, "ascend without repetition from 0 to 3"),
        ({"decoder_positions": (4,)}, "ascend without repetition from 0 to 3"),
        ({"decoder_positions": (3,), "place": "decoder"}, "beside adapters in the encoder"),
        ({"decoder_positions": (3,), "base": "sam_vit_b"}, "encoder of mobile_sam"),
        ({"decoder_positions": (3,), "hidden_dim": None}, "need a hidden_dim, got None"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(options, message):
    with pytest.raises(InvalidInputError, match=message):
        AmodalConfig.from_dict({"base": "mobile_sam", **options})


def test_an_adapter_before_the_features_that_are_kept_is_refused(state):
    with pytest.raises(InvalidInputError, match=r"adapters after it, got one before layers\.0"):
        small_model(state, positions=(1, 12), decoder_positions=(3,))


@pytest.mark.parametrize("sizes", [(0, 4, 6), (8, 0, 6), (8, 4, 0)])
def test_sizes_of_nothing_are_refused(sizes):
    with pytest.raises(InvalidInputError, match="must be at least 1"):
        MaskAdapter(sizes[0], sizes[1], hidden_dim=sizes[2])
    with pytest.raises(InvalidInputError, match="kernel_size odd"):
        MaskAdapter(8, 4, hidden_dim=6, kernel_size=2)
