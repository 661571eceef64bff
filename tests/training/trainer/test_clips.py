# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from amodal_ros.image.boxes import boxes_to_masks, expand_boxes
from amodal_ros.image.masks import dilate_mask
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.video_predictor import AmodalVideoPredictor
from amodal_ros.modeling.video_types import VideoOptions, VideoPrompt
from tests.training.trainer.synthetic import SyntheticConfig, SyntheticDataset, collate
from training.batch import TrainClip
from training.trainer.config import VideoConfig
from training.trainer.forward import follow, predict

SIZE = 128


def clip_of(frames: int, items: int = 1, objects: int = 2) -> TrainClip:
    dataset = SyntheticDataset(SyntheticConfig(frames=frames, objects=objects), SIZE, seed=1)
    clip = collate([dataset[i] for i in range(items)])
    assert isinstance(clip, TrainClip)
    return clip


def model_of(base: str):
    torch.manual_seed(0)
    model = build_amodal(AmodalConfig(base=base, image_size=SIZE, hidden_dim=4))
    for parameter in model.adapters.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape)
    return model


@pytest.fixture(scope="module")
def sam2():
    return model_of("sam2.1_hiera_t")


@pytest.fixture(scope="module")
def mobile_sam():
    return model_of("mobile_sam")


def test_m_spec_of_a_frame_is_the_dilated_prediction_before_it():
    frame = clip_of(2).frames[1]
    logits = torch.full((2, 1, SIZE // 4, SIZE // 4), -5.0)
    logits[0, 0, 8:16, 4:20] = 5.0  # the second object's prediction is empty
    followed = follow(frame, logits, dilation=0.1)
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[32:64, 16:80] = True
    area = followed.prior_masks[0, 0].bool().numpy()
    expected = dilate_mask(mask, 0.1 * np.sqrt(mask.sum()))
    assert (area ^ expected).sum() / expected.sum() < 0.02  # corners of the bilinear enlargement
    torch.testing.assert_close(
        followed.boxes_xyxy[0], torch.tensor([16.0, 32.0, 80.0, 64.0]), atol=1.0, rtol=0.0
    )
    assert torch.equal(followed.prior_masks[1], frame.prior_masks[1])
    assert torch.equal(followed.boxes_xyxy[1], frame.boxes_xyxy[1])


@pytest.mark.parametrize("name", ["sam2", "mobile_sam"])
def test_a_clip_is_run_as_the_video_predictor_runs_one(name, request):
    """Black and white frames: what preprocessing gives the predictor, the clip gets as it is."""
    model = request.getfixturevalue(name)
    clip = clip_of(3, objects=1)
    pixels = [(frame.images[0] > 0.5).numpy().transpose(1, 2, 0) for frame in clip.frames]
    pictures = [np.ascontiguousarray(p.astype(np.uint8) * 255) for p in pixels]
    predictor = AmodalVideoPredictor(model, VideoOptions(clip_length=3))
    box = clip.frames[0].boxes_xyxy.numpy()
    region = expand_boxes(box, 1.2, (SIZE, SIZE))[0]
    expected = []
    for t, picture in enumerate(pictures):
        prompts = {0: VideoPrompt(box_xyxy=box[0])} if t == 0 else None
        expected.append(torch.from_numpy(predictor.step(picture, prompts).low_res_logits))
    geometry = model.geometry((SIZE, SIZE))
    priors = boxes_to_masks(region[None], (SIZE, SIZE))[:, None]
    prior = torch.from_numpy(priors.astype(np.float32))
    frames = [
        replace(
            frame,
            images=torch.from_numpy(preprocess_image(p, geometry, PIXEL_MEAN, PIXEL_STD)),
            prior_masks=prior,
        )
        for frame, p in zip(clip.frames, pictures, strict=True)
    ]
    with torch.no_grad():
        predictions = predict(model, TrainClip(tuple(frames)), VideoConfig())
    for prediction, logits in zip(predictions, expected, strict=True):
        torch.testing.assert_close(prediction.low_res_logits, logits, rtol=1e-3, atol=1e-3)


def test_gradients_flow_through_the_memory_but_not_through_m_spec():
    # A model of its own: the predictor's inference mode marks what sam2 caches for ever.
    sam2 = model_of("sam2.1_hiera_t")
    clip = clip_of(2)
    first = clip.frames[0]
    images = first.images.clone().requires_grad_()
    features = sam2.prefix(images)
    clip = TrainClip((replace(first, images=None, features=features), clip.frames[1]))
    with_memory = predict(sam2, clip, VideoConfig())[1]
    with_memory.low_res_logits.sum().backward(retain_graph=True)
    assert images.grad.abs().max() > 0
    images.grad = None
    without = predict(sam2, clip, VideoConfig(use_memory=False))[1]
    without.low_res_logits.sum().backward()
    assert images.grad is None
