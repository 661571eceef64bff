# SPDX-License-Identifier: Apache-2.0
"""Amodal MobileSAM against the official package, on random weights in its layout."""

from __future__ import annotations

import pytest
import torch
from mobile_sam import sam_model_registry
from mobile_sam.modeling import Sam

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_model import ObjectEmbeddings
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam, load_into
from amodal_ros.modeling.prompts import Prompts, embed_prompts
from amodal_ros.modeling.sam_decoder import decode_objects
from tests.modeling.mobile_sam_support import (
    SMALL,
    random_adapters,
    random_state,
    small_model,
    square_priors,
)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return random_state()


@pytest.fixture(scope="module")
def official(state) -> Sam:
    sam = build_mobile_sam(SMALL)
    load_into(sam, state)
    return sam


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(2, 3, SMALL, SMALL, generator=torch.Generator().manual_seed(3))


def _official_embedding(sam: Sam, images: torch.Tensor) -> torch.Tensor:
    """The official modules in their official order; their own ``forward`` assumes 1024 pixels."""
    encoder = sam.image_encoder
    x = encoder.patch_embed(images)
    for layer in encoder.layers:
        x = layer(x)
    side = images.shape[-1] // 16
    return encoder.neck(x.transpose(1, 2).reshape(len(images), -1, side, side))


@torch.no_grad()
def test_untrained_embeddings_equal_the_official_encoder(state, official, images):
    model = small_model(state)
    found = model.suffix(model.prefix(images), square_priors(2, SMALL))
    expected = _official_embedding(official, images)
    torch.testing.assert_close(found.embeddings, expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.01


@torch.no_grad()
def test_gain_zero_equals_the_official_encoder_whatever_the_adapters(state, official, images):
    model = random_adapters(small_model(state))
    gain = torch.tensor([0.0, 1.0])
    found = model.suffix(model.prefix(images[:1]), square_priors(2, SMALL), gain).embeddings
    expected = _official_embedding(official, images[:1])
    torch.testing.assert_close(found[:1], expected, atol=1e-5, rtol=0)
    assert (found[1] - found[0]).abs().max() > 1e-2


@pytest.mark.slow
@torch.no_grad()
def test_true_size_equals_the_official_forward(state):
    official = sam_model_registry["vit_t"]()
    load_into(official, state)
    model = random_adapters(small_model(state, image_size=1024))
    image = torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(4))
    found = model.suffix(model.prefix(image), square_priors(1, 1024), torch.zeros(1))
    torch.testing.assert_close(found.embeddings, official.image_encoder(image), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("positions", [(2, 12), (4, 10, 12), (12,)])
def test_split_anywhere_equals_unsplit(state, images, positions):
    model = random_adapters(small_model(state, positions=list(positions)))
    # The same adapters behind one that does nothing, which moves the cut to the front.
    whole = small_model(state, positions=[0, *positions])
    for name, adapter in model.adapters.items():
        whole.adapters[name].load_state_dict(adapter.state_dict())
    priors = square_priors(2, SMALL)
    found = model.suffix(model.prefix(images), priors).embeddings
    expected = whole.suffix(whole.prefix(images), priors).embeddings
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_prior_moves_only_its_own_object(state, images):
    model = random_adapters(small_model(state))
    features = model.prefix(images[:1])
    priors = square_priors(3, SMALL)
    before = model.suffix(features, priors).embeddings
    changed = priors.clone()
    changed[1] = 1.0 - changed[1]
    after = model.suffix(features, changed).embeddings
    moved = (after - before).abs().amax(dim=(1, 2, 3))
    assert moved[1] > 1e-3
    assert moved[0] == moved[2] == 0.0


@torch.no_grad()
def test_objects_of_several_images_in_one_batch(state, images):
    model = random_adapters(small_model(state))
    priors = square_priors(3, SMALL)
    owner = torch.tensor([1, 0, 1])
    both = model.suffix(model.prefix(images), priors, image_index=owner).embeddings
    for i, image in enumerate(owner):
        alone = model.suffix(model.prefix(images[image : image + 1]), priors[i : i + 1])
        torch.testing.assert_close(both[i], alone.embeddings[0], atol=1e-5, rtol=0)


def _prompt(kind: str) -> tuple[dict[str, torch.Tensor], object, object]:
    boxes = torch.tensor([[20.0, 30.0, 200.0, 220.0], [5.0, 60.0, 90.0, 120.0]])
    points = torch.tensor([[[50.0, 60.0], [99.0, 10.0]], [[30.0, 80.0], [70.0, 100.0]]])
    labels = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    if kind == "box":
        return {"boxes_xyxy": boxes}, None, boxes
    if kind == "points":
        return {"points": points, "point_labels": labels}, (points, labels), None
    both = {"boxes_xyxy": boxes, "points": points, "point_labels": labels}
    return both, (points, labels), boxes


@torch.no_grad()
@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("kind", ["box", "points", "both"])
def test_decoding_equals_the_official_one(official, kind, multimask):
    prompt, points, boxes = _prompt(kind)
    prompts = Prompts.build(**prompt)
    embeddings = torch.randn(2, 256, 16, 16, generator=torch.Generator().manual_seed(5))
    objects = ObjectEmbeddings(embeddings, (), torch.zeros(2, 1, 256, 256), torch.ones(2))
    masks = decode_objects(
        official, torch.nn.ModuleDict(), objects, prompts, multimask_output=multimask
    )
    logits, iou = masks.low_res_logits, masks.predicted_iou
    sparse, dense = official.prompt_encoder(points=points, boxes=boxes, masks=None)
    torch.testing.assert_close(
        embed_prompts(official.prompt_encoder, prompts.coords, prompts.labels), sparse
    )
    for i in range(2):
        expected, expected_iou = official.mask_decoder(
            embeddings[i : i + 1],
            official.prompt_encoder.get_dense_pe(),
            sparse[i : i + 1],
            dense[i : i + 1],
            multimask,
        )
        torch.testing.assert_close(logits[i : i + 1], expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(iou[i : i + 1], expected_iou, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs boxes_xyxy or points"),
        ({"points": torch.zeros(1, 2, 2)}, "given together"),
        ({"boxes_xyxy": torch.zeros(2, 3)}, r"boxes_xyxy must be \(N, 4\), got \(2, 3\)"),
    ],
)
def test_bad_prompts_are_refused(given, message):
    with pytest.raises(InvalidInputError, match=message):
        Prompts.build(**given)


def test_one_step_changes_adapters_and_nothing_else(state, images):
    model = small_model(state)
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    boxes = torch.tensor([[20.0, 30.0, 200.0, 220.0]])
    prompts = model.build_prompts(boxes_xyxy=boxes)
    found = model(images[:1], square_priors(1, SMALL), prompts)
    found.low_res_logits.square().mean().backward()
    optimizer.step()
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert changed
    assert all(name.startswith("adapters.") for name in changed)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        name for name, _ in model.named_parameters() if name.startswith("adapters.")
    }


def test_gradient_checkpointing_gives_the_same_gradients(state, images):
    gradients = []
    for checkpointing in (False, True):
        model = random_adapters(small_model(state))
        model.gradient_checkpointing = checkpointing
        model.suffix(model.prefix(images[:1]), square_priors(1, SMALL)).embeddings.sum().backward()
        gradients.append([p.grad for p in model.adapters.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("positions", [[13], [-1, 4]])
def test_positions_outside_the_encoder_are_refused(state, positions):
    with pytest.raises(InvalidInputError, match="must be block indices 0 to 11"):
        small_model(state, positions=positions)
