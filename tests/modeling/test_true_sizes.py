# SPDX-License-Identifier: Apache-2.0
"""Every member at its true size, 1024 x 1024, against the official predictor of its package."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch

from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD, AmodalModel
from amodal_ros.modeling.amodal_sam import VIT_SPECS, AmodalSam
from amodal_ros.modeling.amodal_sam2 import AmodalSam2
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.config import MEMBERS, SAM2_MEMBERS, SAM_MEMBERS, AmodalConfig
from amodal_ros.modeling.sam2_base import build_sam2
from amodal_ros.modeling.video_predictor import AmodalVideoPredictor
from amodal_ros.modeling.video_types import VideoOptions, VideoPrompt
from tests.modeling.family_support import (
    activate,
    box_prior,
    moving_square_clip,
    official_sam2,
    randomise,
)
from tests.modeling.official_video import OfficialRun, random_video_sam2

SIZE = 1024
BOX = [200, 250, 700, 800]

pytestmark = pytest.mark.slow


def official_results(
    member: str, image: np.ndarray
) -> tuple[Any, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run the package's own model and predictor: model, input, embedding, low-res logits."""
    torch.manual_seed(0)
    if member in SAM2_MEMBERS:
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        model = randomise(official_sam2(member, SIZE), std=0.01)
        predictor: Any = SAM2ImagePredictor(model)
        predictor.set_image(image)
        _, _, logits = predictor.predict(box=np.array(BOX), multimask_output=False)
        tensor = predictor._transforms(image)[None]
        return model, tensor, predictor.get_image_embedding(), torch.from_numpy(logits)
    if member in SAM_MEMBERS:
        import segment_anything as package

        name = member[4:]
    else:
        import mobile_sam as package

        name = "vit_t"
    model = randomise(package.sam_model_registry[name](), std=0.01)
    predictor = package.SamPredictor(model)
    predictor.set_image(image)
    _, _, logits = predictor.predict(box=np.array(BOX), multimask_output=False)
    tensor = model.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None])
    return model, tensor, predictor.get_image_embedding(), torch.from_numpy(logits)


def adapt(member: str, official: Any) -> AmodalModel:
    config = AmodalConfig(base=member)
    if member in SAM2_MEMBERS:
        return AmodalSam2(config, official).eval()
    if member in SAM_MEMBERS:
        return AmodalSam(config, official, VIT_SPECS[member].default_positions()).eval()
    return AmodalMobileSam(config, official).eval()


@pytest.mark.parametrize("member", MEMBERS)
@torch.no_grad()
def test_equals_the_official_predictor(member):
    torch.set_num_threads(2)
    image = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    official, tensor, embedding, logits = official_results(member, image)
    model = activate(adapt(member, official), std=0.02)
    ours = preprocess_image(image, model.geometry((SIZE, SIZE)), PIXEL_MEAN, PIXEL_STD)
    assert float((torch.from_numpy(ours) - tensor).abs().max()) < 1e-5
    features = model.prefix(tensor)
    prior = box_prior([BOX], SIZE)

    base = model.suffix(features, prior, torch.zeros(1))
    without_memory = base.embeddings
    if member in SAM2_MEMBERS:
        without_memory = without_memory + official.no_mem_embed.view(1, -1, 1, 1)
    assert float((without_memory - embedding).abs().max()) < 1e-5
    prompts = model.build_prompts(boxes_xyxy=torch.tensor([BOX], dtype=torch.float32))
    decoded = model.decode(base, prompts).low_res_logits[0]
    # The official predictors clamp what they hand out.
    difference = (decoded.clamp(-32, 32) - logits.clamp(-32, 32)).abs().max()
    assert float(difference) < 1e-4

    amodal = model.suffix(features, prior)
    assert float((amodal.embeddings - base.embeddings).abs().max()) > 1e-3
    assert amodal.embeddings.isfinite().all()
    del official, model, features, base, amodal
    gc.collect()


def test_video_equals_sam2(monkeypatch):
    torch.set_num_threads(2)
    official = random_video_sam2("sam2.1_hiera_t", SIZE, postprocessing=True, visible=0.6)
    clip = [np.kron(f, np.ones((8, 8, 1), np.uint8)) for f in moving_square_clip(4)]
    prompt = VideoPrompt(box_xyxy=np.array([128, 256, 384, 512], np.float32))
    run = OfficialRun(official, clip, monkeypatch)
    run.add(0, 1, prompt)
    expected = run.propagate(0, 3)
    base = build_sam2("sam2.1_hiera_t", SIZE, postprocessing=True)
    base.load_state_dict(official.state_dict())
    config = AmodalConfig(base="sam2.1_hiera_t", sam2_postprocessing=True)
    model = activate(AmodalSam2(config, base))
    predictor = AmodalVideoPredictor(model, VideoOptions(adapter_gain=0.0, clip_length=4))
    for index, image in enumerate(clip):
        frame = predictor.step(image, {1: prompt} if index == 0 else None)
        np.testing.assert_allclose(frame.low_res_logits[0], expected[index][1], atol=1e-4)


@pytest.mark.parametrize("member", ["sam2.1_hiera_t", "mobile_sam"])
def test_trains_at_the_true_size(member):
    """One step of two objects: mixed precision, gradient checkpointing."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    model = build_amodal(AmodalConfig(base=member)).train()
    model.gradient_checkpointing = True
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    before = {name: value.clone() for name, value in model.trainable_state().items()}
    boxes = [BOX, [600, 100, 1000, 500]]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prompts = model.build_prompts(boxes_xyxy=torch.tensor(boxes, dtype=torch.float32))
        logits = model(torch.randn(1, 3, SIZE, SIZE), box_prior(boxes, SIZE), prompts)
    loss = torch.nn.functional.softplus(-logits.low_res_logits.float()).mean()
    loss.backward()
    optimiser.step()
    after = model.trainable_state()
    assert all(value.isfinite().all() for value in after.values())
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert any(".expand." in name for name in moved)
    assert {name.split(".")[1] for name in moved} == set(model.adapters)
