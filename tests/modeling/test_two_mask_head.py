# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from amodal_ros.modeling.two_mask_head import HEAD_NAME, TwoMaskHead, two_mask_head
from tests.modeling.family_support import Case, activate, box_prior, make_case, random_image

BOXES = [[20, 24, 70, 90], [40, 8, 120, 60]]
MEMBERS = ("sam_vit_b", "sam2.1_hiera_t", "mobile_sam")


@pytest.fixture(scope="module", params=MEMBERS)
def case(request: pytest.FixtureRequest) -> Case:
    return make_case(request.param)


def _predict(model, gain=None, multimask=False):
    boxes = torch.tensor(BOXES, dtype=torch.float32)
    with torch.no_grad():
        return model(
            random_image(),
            box_prior(BOXES),
            model.build_prompts(boxes_xyxy=boxes),
            image_index=torch.zeros(2, dtype=torch.int64),
            adapter_gain=gain,
            multimask_output=multimask,
        )


def test_gain_0_is_the_base_model_bit_for_bit_in_both_masks(case):
    plain = _predict(case.build(), torch.zeros(2))
    both = _predict(activate(case.build(visible_output=True)), torch.zeros(2))
    assert plain.visible_logits is None
    assert torch.equal(both.low_res_logits, plain.low_res_logits)
    assert torch.equal(both.predicted_iou, plain.predicted_iou)
    torch.testing.assert_close(both.visible_logits, plain.low_res_logits, atol=1e-5, rtol=1e-5)


def test_one_pass_gives_two_masks_that_differ(case):
    found = _predict(activate(case.build(visible_output=True)))
    assert found.visible_logits.shape == found.low_res_logits.shape
    assert float((found.visible_logits - found.low_res_logits).abs().max()) > 1e-2


def test_an_untrained_head_changes_nothing(case):
    untrained = case.build(visible_output=True)
    found = _predict(untrained)
    assert torch.equal(found.low_res_logits, _predict(case.build()).low_res_logits)
    torch.testing.assert_close(found.visible_logits, found.low_res_logits, atol=1e-5, rtol=1e-5)
    assert two_mask_head(case.build().adapters) is None
    assert HEAD_NAME in untrained.adapters


def test_three_masks_for_a_vague_prompt_stay_the_base_models(case):
    model = activate(case.build(visible_output=True))
    found = _predict(model, torch.zeros(2), multimask=True)
    assert torch.equal(
        found.low_res_logits, _predict(case.build(), torch.zeros(2), True).low_res_logits
    )
    assert found.low_res_logits.shape[1] == 3
    assert found.visible_logits.shape[1] == 1


def test_both_masks_teach_the_head_and_the_adapters():
    model = activate(make_case("mobile_sam").build(visible_output=True, decoder_positions=(2, 3)))
    prompts = model.build_prompts(boxes_xyxy=torch.tensor(BOXES, dtype=torch.float32))
    found = model(random_image(batch=2), box_prior(BOXES), prompts)
    found.visible_logits.mean().backward()
    assert all(float(p.grad.abs().max()) > 0 for p in model.adapters[HEAD_NAME].parameters())
    assert any(float(p.grad.abs().max()) > 0 for p in model.adapters["neck"].parameters())


def test_the_head_looks_at_two_tokens_alone():
    head = TwoMaskHead(8)
    torch.nn.init.normal_(head.expand.weight)
    tokens, gain = torch.randn(3, 4, 256), torch.tensor([1.0, 0.0, 0.5])
    before = head(tokens, gain)
    assert before.shape == (3, 2, 8)
    assert not before[1].any()
    tokens[:, [1, 3]] += 1.0
    assert torch.equal(head(tokens, gain), before)
    tokens[:, 2] += 1.0
    assert not torch.equal(head(tokens, gain)[0], before[0])
