# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import boxes_to_masks, expand_boxes
from amodal_ros.image.masks import dilate_mask, mask_box
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD
from amodal_ros.modeling.amodal_sam2 import AmodalSam2
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.video_predictor import AmodalVideoPredictor
from amodal_ros.modeling.video_types import VideoOptions, VideoPrompt
from amodal_ros.types import PointPrompt
from tests.modeling.family_support import activate, make_case, moving_square_clip, official_sam2
from tests.modeling.official_video import OfficialRun, random_video_sam2

SIZE = 64
BOX = VideoPrompt(box_xyxy=np.array([10, 18, 30, 40], np.float32))
POINTS = VideoPrompt(points=PointPrompt.from_points([[20, 25], [50, 50]], [1, 0]))
BOTH = VideoPrompt(
    box_xyxy=np.array([8, 8, 40, 30], np.float32), points=PointPrompt.from_points([[30, 20]])
)


class Twins:
    """sam2's video predictor, and amodal models on a base with the same weights."""

    def __init__(self, member: str) -> None:
        self.member = member
        self.official = random_video_sam2(
            member, SIZE, postprocessing=True, visible=0.6, narrow=True
        )
        self.base = official_sam2(member, SIZE, video=True, postprocessing=True, narrow=True)
        self.base.load_state_dict(self.official.state_dict())

    def amodal(self, **options) -> AmodalSam2:
        config = AmodalConfig(
            base=self.member, image_size=SIZE, hidden_dim=16, sam2_postprocessing=True, **options
        )
        return AmodalSam2(config, self.base)


@pytest.fixture(scope="module")
def sam2():
    return Twins("sam2_hiera_t")


@pytest.fixture(scope="module")
def sam21():
    return Twins("sam2.1_hiera_t")


def base_options(**options) -> VideoOptions:
    return VideoOptions(adapter_gain=0.0, **options)


def assert_same(frame, expected: dict[int, np.ndarray]) -> None:
    assert list(frame.object_ids) == list(expected)
    for row, object_id in enumerate(frame.object_ids):
        np.testing.assert_allclose(
            frame.low_res_logits[row], expected[object_id], rtol=0, atol=1e-4
        )


@pytest.mark.parametrize("generation", ["sam2", "sam21"])
def test_equals_sam2_frame_by_frame(generation, request, monkeypatch):
    """18 frames: longer than SAM 2's memory of masks (7) and of object pointers (16)."""
    twins = request.getfixturevalue(generation)
    clip = moving_square_clip(18, SIZE)
    run = OfficialRun(twins.official, clip, monkeypatch)
    run.add(0, 1, BOX)
    expected = run.propagate(0, 17)
    assert len(expected) == 18
    untrained = AmodalVideoPredictor(twins.amodal())
    switched_off = AmodalVideoPredictor(activate(twins.amodal()), base_options())
    for predictor in (untrained, switched_off):
        shares = []
        for index, image in enumerate(clip):
            frame = predictor.step(image, {1: BOX} if index == 0 else None)
            assert frame.frame_index == index
            assert_same(frame, expected[index])
            shares.append(frame.amodal_masks.mean())
        assert 0 < np.mean(shares) < 1  # there was a mask to get wrong


def test_objects_come_and_go_as_in_sam2(sam21, monkeypatch):
    clip = moving_square_clip(8, SIZE)
    run = OfficialRun(sam21.official, clip, monkeypatch)
    run.add(0, 7, BOX)
    expected = run.propagate(0, 1)
    run.add(2, 3, POINTS)
    run.add(2, 5, BOTH)
    expected |= run.propagate(2, 4)
    run.remove(7)
    expected |= run.propagate(5, 5)
    run.add(6, 3, BOTH)  # set right
    expected |= run.propagate(6, 7)

    model = activate(sam21.amodal())
    predictor = AmodalVideoPredictor(model, base_options(clip_length=len(clip)))
    prompts = {0: {7: BOX}, 2: {3: POINTS, 5: BOTH}, 6: {3: BOTH}}
    for index, image in enumerate(clip):
        frame = predictor.step(image, prompts.get(index), remove=[7] if index == 5 else [])
        assert_same(frame, expected[index])


def test_mask_prompt_equals_sam2(sam21, monkeypatch):
    clip = moving_square_clip(4, SIZE)
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[10:30, 12:40] = True
    prompt = VideoPrompt(mask=mask)
    run = OfficialRun(sam21.official, clip, monkeypatch)
    run.add(0, 1, prompt)
    expected = run.propagate(0, 3)
    predictor = AmodalVideoPredictor(sam21.amodal(), VideoOptions(clip_length=4))
    for index, image in enumerate(clip):
        assert_same(predictor.step(image, {1: prompt} if index == 0 else None), expected[index])


def test_an_object_does_not_depend_on_the_others(sam21):
    clip = moving_square_clip(5, SIZE)
    model = activate(sam21.amodal(positions=(2, 3, 4)))
    alone, together = (AmodalVideoPredictor(model) for _ in range(2))
    for index, image in enumerate(clip):
        one = alone.step(image, {1: BOX} if index == 0 else None)
        both = together.step(
            image,
            {1: BOX, 2: BOTH} if index == 0 else None,
            remove=[2] if index == 3 else [],
        )
        assert both.object_ids == ((1, 2) if index < 3 else (1,))
        np.testing.assert_allclose(both.low_res_logits[0], one.low_res_logits[0], atol=1e-4)


def test_previous_amodal_mask_is_the_next_prior(sam21, monkeypatch):
    model = activate(sam21.amodal())
    priors: list[torch.Tensor] = []
    suffix = model.suffix

    def watched(features, prior, gain):
        priors.append(prior.clone())
        return suffix(features, prior, gain)

    monkeypatch.setattr(model, "suffix", watched)
    predictor = AmodalVideoPredictor(model)
    frames = [
        predictor.step(image, {1: BOX} if index == 0 else None)
        for index, image in enumerate(moving_square_clip(4, SIZE))
    ]
    box = np.zeros((SIZE, SIZE), bool)
    box[16:42, 8:32] = True  # 20 x 22 pixels about (20, 29), times 1.2
    np.testing.assert_array_equal(priors[0][0, 0].numpy() > 0, box)
    for previous, prior in zip(frames, priors[1:], strict=False):
        mask, region = previous.amodal_masks[0], prior[0, 0].numpy() > 0
        assert mask.any()
        assert (region | mask == region).all()  # it contains the mask
        assert region.sum() > mask.sum()
        assert set(np.unique(prior)) <= {0.0, 1.0}


def test_the_prior_moves_the_masks_of_later_frames(sam21):
    clip = moving_square_clip(3, SIZE)
    model = activate(sam21.amodal())
    logits = []
    for dilation in (0.0, 2.0):
        predictor = AmodalVideoPredictor(model, VideoOptions(prior_dilation=dilation))
        frames = [predictor.step(f, {1: BOX} if i == 0 else None) for i, f in enumerate(clip)]
        logits.append([frame.low_res_logits for frame in frames])
    np.testing.assert_array_equal(logits[0][0], logits[1][0])
    assert np.abs(logits[0][2] - logits[1][2]).max() > 1e-4


def test_a_long_stream_needs_no_more_than_a_short_one(sam21):
    clip = moving_square_clip(8, SIZE)
    predictor = AmodalVideoPredictor(sam21.amodal(), VideoOptions(max_conditioning_frames=2))
    remembered = []
    for index in range(25):
        prompts = {1: BOX} if index % 4 == 0 else None
        predictor.step(clip[index % len(clip)], prompts)
        remembered.append(predictor.remembered_frames(1))
    assert remembered[:3] == [1, 2, 3]
    # Two prompted frames, and the object pointers of those of the last 15 that were tracked.
    assert max(remembered) <= 2 + 15
    assert remembered[-1] == remembered[-5]


@pytest.mark.parametrize("name", ["sam_vit_b", "mobile_sam", "sam2.1_hiera_t"])
def test_image_models_run_without_memory(name):
    model = activate(make_case(name).build())
    predictor = AmodalVideoPredictor(model, VideoOptions(use_memory=False))
    clip = [np.ascontiguousarray(f[:96]) for f in moving_square_clip(3, 128)]
    prompt = VideoPrompt(box_xyxy=np.array([16, 30, 60, 70], np.float32))
    previous = frame = predictor.step(clip[0], {4: prompt})
    for image in clip[1:]:
        previous, frame = frame, predictor.step(image)
        assert frame.amodal_masks.shape == (1, 96, 128)
        assert predictor.remembered_frames(4) == 0
    # The last frame alone, prompted as the predictor prompted it.
    assert previous.amodal_masks.any()
    mask = previous.amodal_masks[0]
    geometry = model.geometry((96, 128))
    image = preprocess_image(clip[-1], geometry, PIXEL_MEAN, PIXEL_STD)
    region = dilate_mask(mask, 0.1 * np.sqrt(mask.sum()))
    box = geometry.boxes_to_input(np.array(mask_box(mask)))
    with torch.no_grad():
        expected = model(
            torch.from_numpy(image),
            torch.from_numpy(geometry.masks_to_input(region[None])),
            model.build_prompts(boxes_xyxy=torch.from_numpy(box)),
        )
    np.testing.assert_allclose(frame.low_res_logits, expected.low_res_logits, atol=1e-5)


def test_point_prompt_takes_the_box_of_the_unadapted_mask():
    model = activate(make_case("sam_vit_b").build())
    image = moving_square_clip(1)[0]
    points = PointPrompt.from_points([[40, 50], [90, 90]], [1, 0])
    unadapted = AmodalVideoPredictor(model, base_options()).step(
        image, {1: VideoPrompt(points=points)}
    )
    box = np.array(mask_box(unadapted.amodal_masks[0]))
    assert 0 < unadapted.amodal_masks.mean() < 1
    frame = AmodalVideoPredictor(model).step(image, {1: VideoPrompt(points=points)})
    expanded = expand_boxes(box[None], 1.2, image.shape[:2])
    prior = boxes_to_masks(expanded, image.shape[:2])[:, None].astype(np.float32)
    tensor = preprocess_image(image, model.geometry((128, 128)), PIXEL_MEAN, PIXEL_STD)
    with torch.no_grad():
        expected = model(
            torch.from_numpy(tensor),
            torch.from_numpy(prior),
            model.build_prompts(
                points=torch.from_numpy(points.coords_xy)[None],
                point_labels=torch.from_numpy(points.labels)[None],
            ),
        )
    np.testing.assert_allclose(frame.low_res_logits, expected.low_res_logits, atol=1e-5)


def test_no_objects_and_bad_requests(sam21):
    predictor = AmodalVideoPredictor(sam21.amodal())
    empty = predictor.step(moving_square_clip(1, SIZE)[0])
    assert empty.object_ids == ()
    assert empty.amodal_masks.shape == (0, SIZE, SIZE)
    with pytest.raises(InvalidInputError, match="object 9 is not followed"):
        predictor.remove(9)
    with pytest.raises(InvalidInputError, match=r"\(64, 64\), got \(32, 64\)"):
        predictor.step(np.zeros((32, 64, 3), np.uint8))
    predictor.reset()
    assert predictor.step(np.zeros((32, 64, 3), np.uint8)).frame_index == 0
    with pytest.raises(InvalidInputError, match="a box, points, or both"):
        VideoPrompt()
