# SPDX-License-Identifier: Apache-2.0
"""What holds for every member of the family, against the official packages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling import amodal_model, tiny_vit
from tests.modeling.family_support import activate, box_prior, make_case, random_image

MEMBERS = ["sam_vit_b", "sam2.1_hiera_t", "mobile_sam"]
BOXES = [[16, 24, 70, 90], [40, 8, 120, 60], [4, 70, 60, 124]]
IMAGE_OF = torch.tensor([0, 0, 1])


@pytest.fixture(scope="module", params=MEMBERS)
def case(request):
    return make_case(request.param)


def largest_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.float() - b.float()).abs().max())


def prompts_of(kind: str) -> dict[str, torch.Tensor]:
    prompt = {}
    if "box" in kind:
        prompt["boxes_xyxy"] = torch.tensor(BOXES, dtype=torch.float32)
    if "points" in kind:
        prompt["points"] = torch.tensor([[[30.0, 40], [90, 100]]] * 3)
        prompt["point_labels"] = torch.tensor([[1, 0]] * 3)
    return prompt


@torch.no_grad()
@pytest.mark.parametrize("adapters", ["untrained", "gain 0"])
@pytest.mark.parametrize("positions", ["default", "last", "decoder"])
def test_encoder_equals_the_official_one(case, adapters, positions):
    options: dict[str, Any] = {"default": {}, "last": {"positions": (4,)}}.get(
        positions, {"place": "decoder"}
    )
    model = case.build(**options)
    gain = None
    if adapters == "gain 0":
        activate(model)
        gain = torch.zeros(3)
    images, prior = random_image(batch=2), box_prior(BOXES)
    embeddings = model.suffix(model.prefix(images), prior, gain, image_index=IMAGE_OF)
    expected = case.embed(images)
    assert largest_difference(embeddings.embeddings, expected[0][IMAGE_OF]) < 1e-5
    for ours, official in zip(embeddings.high_res, expected[1:], strict=True):
        assert largest_difference(ours, official[IMAGE_OF]) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("kind", ["box", "points", "box and points"])
def test_masks_equal_the_official_ones(case, kind, multimask):
    model = activate(case.build())
    images, prompt = random_image(batch=2), prompts_of(kind)
    prediction = model(
        images,
        box_prior(BOXES),
        model.build_prompts(**prompt),
        image_index=IMAGE_OF,
        adapter_gain=torch.zeros(3),
        multimask_output=multimask,
    )
    assert prediction.low_res_logits.shape == (3, 3 if multimask else 1, 32, 32)
    for row, image in enumerate(IMAGE_OF.tolist()):
        own = {name: value[row : row + 1] for name, value in prompt.items()}
        logits, iou = case.decode(case.embed(images[image : image + 1]), own, multimask)
        assert largest_difference(prediction.low_res_logits[row], logits[0]) < 1e-4
        assert largest_difference(prediction.predicted_iou[row], iou[0]) < 1e-4


@torch.no_grad()
@pytest.mark.parametrize("place", ["encoder", "decoder"])
def test_prior_acts_through_the_adapters_alone(case, place):
    model = case.build(place=place)
    images, prompts = random_image(), model.build_prompts(**prompts_of("box"))
    somewhere = box_prior(BOXES)
    elsewhere = box_prior([[60, 60, 100, 100], [0, 0, 30, 30], [90, 10, 126, 60]])

    def logits(prior: torch.Tensor, gain: float) -> torch.Tensor:
        gains = torch.full((3,), gain)
        return model(images, prior, prompts, adapter_gain=gains).low_res_logits

    assert torch.equal(logits(somewhere, 1.0), logits(elsewhere, 1.0))  # untrained
    activate(model)
    assert largest_difference(logits(somewhere, 1.0), logits(elsewhere, 1.0)) > 1e-4
    assert torch.equal(logits(somewhere, 0.0), logits(elsewhere, 0.0))


@torch.no_grad()
def test_conventional_adapter_does_not_look_at_the_prior(case):
    model = activate(case.build(adapter="conventional"))
    images, prompts = random_image(), model.build_prompts(**prompts_of("box"))
    first = model(images, box_prior(BOXES), prompts)
    second = model(images, box_prior(BOXES[::-1]), prompts)
    base = model(images, box_prior(BOXES), prompts, adapter_gain=torch.zeros(3))
    assert torch.equal(first.low_res_logits, second.low_res_logits)
    assert largest_difference(first.low_res_logits, base.low_res_logits) > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("positions", [(), (3,), (2, 4), (1, 2, 3, 4)])
def test_split_equals_unsplit(case, positions):
    """Against the official encoder, whole, for each object, with adapters hooked into it."""
    model = activate(case.build(positions=positions))
    if positions:
        assert len(model.adapters) == len(positions)
    images, prior = random_image(batch=2), box_prior(BOXES)
    split = model.suffix(model.prefix(images), prior, image_index=IMAGE_OF)
    for row, image in enumerate(IMAGE_OF.tolist()):
        unsplit = _hooked_official(case, model, images[image : image + 1], prior[row : row + 1])
        ours = [m[row] for m in (split.embeddings, *split.high_res)]
        for mine, theirs in zip(ours, unsplit, strict=True):
            assert largest_difference(mine, theirs[0]) < 1e-5 * max(1.0, float(theirs.abs().max()))


def _hooked_official(case, model, image, prior):
    encoder = case.official.image_encoder
    gain = torch.ones(1)
    hooks = []
    for name, adapter in model.adapters.items():
        if name.startswith("block_"):
            place, layout = encoder.blocks[int(name[6:])], "NHWC"
        elif name.startswith("stage_"):
            stage = int(name[6:])
            first = [0, *(end + 1 for end in encoder.trunk.stage_ends)][stage - 1]
            place, layout = encoder.trunk.blocks[first + (stage > 1)], "NHWC"
        else:
            place = encoder.get_submodule(name.replace("_", "."))
            layout = "NCHW" if name == "neck" or name.startswith("layers_0") else "NLC"
        hooks.append(place.register_forward_pre_hook(_adapt(adapter, prior, gain, layout)))
    try:
        return case.embed(image)
    finally:
        for hook in hooks:
            hook.remove()


def _adapt(adapter, prior, gain, layout):
    def hook(_, inputs):
        (x,) = inputs
        if layout == "NCHW":
            return (adapter(x, prior, gain),)
        if layout == "NHWC":
            return (adapter(x.permute(0, 3, 1, 2), prior, gain).permute(0, 2, 3, 1),)
        side = int(x.shape[1] ** 0.5)
        square = x.transpose(1, 2).unflatten(2, (side, side))
        return (adapter(square, prior, gain).flatten(2).transpose(1, 2),)

    return hook


def test_one_optimiser_step_changes_the_adapters_and_nothing_else(case):
    model = case.build().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.01)
    for _ in range(2):  # the first step moves the zero output alone, the second all before it
        prediction = model(
            random_image(), box_prior(BOXES), model.build_prompts(**prompts_of("box"))
        )
        optimiser.zero_grad()
        prediction.low_res_logits.square().mean().backward()
        optimiser.step()
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    adapters = {name for name in before if name.startswith("adapters.")}
    assert changed == adapters
    official = dict(case.official.named_parameters())
    assert all(torch.equal(p, official[name]) for name, p in model.base.named_parameters())
    assert adapters == set(model.trainable_state())


def test_frozen_parts_stay_in_evaluation_mode(case):
    model = case.build().train()
    assert all(adapter.training for adapter in model.adapters.values())
    assert not any(module.training for module in model.base.modules())
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        f"adapters.{n}" for n, _ in model.adapters.named_parameters()
    }


def test_parts_can_be_unfrozen(case):
    model = case.build(unfrozen=("mask_decoder",)).train()
    (decoder,) = model.base_parts()["mask_decoder"]
    assert decoder.training
    assert all(p.requires_grad for p in decoder.parameters())
    frozen = [p for n, p in model.named_parameters() if "mask_decoder" not in n]
    assert sum(p.requires_grad for p in frozen) == len(list(model.adapters.parameters()))
    assert any("mask_decoder" in name for name in model.trainable_state())
    assert not any(module.training for module in model.base.image_encoder.modules())


@torch.no_grad()
def test_objects_of_several_images_equal_image_by_image(case):
    model = activate(case.build())
    images, prior = random_image(batch=3), box_prior(BOXES)
    image_of = torch.tensor([0, 2, 2])  # two objects, none, in one batch
    boxes = torch.tensor(BOXES, dtype=torch.float32)
    together = model(images, prior, model.build_prompts(boxes_xyxy=boxes), image_index=image_of)
    for row, image in enumerate(image_of.tolist()):
        alone = model(
            images[image : image + 1],
            prior[row : row + 1],
            model.build_prompts(boxes_xyxy=boxes[row : row + 1]),
        )
        assert largest_difference(together.low_res_logits[row], alone.low_res_logits[0]) < 1e-4


def test_gradient_checkpointing_gives_the_same_gradients(case):
    model = activate(case.build()).train()
    prompts = model.build_prompts(**prompts_of("box"))
    gradients = []
    for checkpointing in (False, True):
        model.gradient_checkpointing = checkpointing
        model.zero_grad()
        model(random_image(), box_prior(BOXES), prompts).low_res_logits.square().mean().backward()
        gradients.append({n: p.grad for n, p in model.adapters.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient.abs().max() > 0, name
        tolerance = 1e-4 * float(gradient.abs().max())
        torch.testing.assert_close(gradients[1][name], gradient, rtol=0, atol=tolerance)


def test_gradient_checkpointing_keeps_less_for_the_backward_pass(case, monkeypatch):
    model = activate(case.build()).train()
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def checkpoint_and_keep(function, *inputs, use_reentrant):
        for value in inputs:  # what a recomputed block holds on to
            if isinstance(value, torch.Tensor):
                keep(value)
        return checkpoint(function, *inputs, use_reentrant=use_reentrant)

    for module in (amodal_model, tiny_vit):
        monkeypatch.setattr(module, "checkpoint", checkpoint_and_keep)
    totals = []
    for checkpointing in (False, True):
        kept.clear()
        model.gradient_checkpointing = checkpointing
        features = model.prefix(random_image())
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            embeddings = model.suffix(features, box_prior(BOXES)).embeddings
        assert embeddings.requires_grad
        totals.append(sum(kept.values()))
    assert totals[1] < 0.6 * totals[0]


@torch.no_grad()
def test_traces_with_any_number_of_objects(case):
    """What the export needs: traced with two objects, a graph that serves one and five."""
    model = activate(case.build())
    features = model.prefix(random_image())

    suffix = _Suffix(model)
    boxes = [*BOXES, BOXES[0], BOXES[1]]
    example = (box_prior(boxes[:2]), torch.ones(2), *features)
    traced = torch.jit.trace(suffix, example, check_trace=False)
    for count in (1, 5):
        inputs = (box_prior(boxes[:count]), torch.linspace(0, 1, count), *features)
        for ours, expected in zip(traced(*inputs), suffix(*inputs), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


class _Suffix(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, prior, gain, *features):
        embeddings = self.model.suffix(features, prior, gain)
        return embeddings.embeddings, *embeddings.high_res


def test_trains_in_bfloat16(case):
    model = activate(case.build()).train()
    model.gradient_checkpointing = True
    images, prior = random_image(), box_prior(BOXES)
    prompts = model.build_prompts(**prompts_of("box and points"))
    with torch.no_grad():
        exact = model(images, prior, prompts).low_res_logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(images, prior, prompts).low_res_logits
    mixed.float().square().mean().backward()
    assert largest_difference(mixed, exact) < 0.1 * float(exact.abs().max())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.adapters.parameters())


def test_refuses_what_does_not_fit(case):
    model = case.build()
    features = model.prefix(random_image(batch=2))
    with pytest.raises(InvalidInputError, match=r"got \(3, 1, 64, 64\)"):
        model.suffix(features, torch.zeros(3, 1, 64, 64))
    with pytest.raises(InvalidInputError, match="3 objects in 2 images"):
        model.suffix(features, box_prior(BOXES))
    with pytest.raises(InvalidInputError, match=r"adapter_gain must be \(3,\)"):
        model.suffix(features, box_prior(BOXES), torch.ones(2), image_index=IMAGE_OF)
    with pytest.raises(InvalidInputError, match="positions"):
        case.build(positions=(77,))
    with pytest.raises(InvalidInputError, match=r"0, 1 and 2, got \(5,\)"):
        case.build(place="decoder", positions=(5,))
