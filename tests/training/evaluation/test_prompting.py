# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.image.masks import dilate_mask, mask_iou
from training.datasets import open_dataset
from training.evaluation.open_model import open_model
from training.evaluation.prompting import Prompter, prompt_box, prompt_points


@pytest.fixture
def samples(dataset_folder):
    dataset = open_dataset("amodal_coco", dataset_folder, dataset_folder / "annotations.json")
    return list(dataset)


def test_boxes_and_points(samples):
    occluded, hidden = samples[1], samples[2]
    np.testing.assert_array_equal(prompt_box(occluded, "visible_box"), [32, 8, 44, 40])
    np.testing.assert_array_equal(prompt_box(occluded, "amodal_box"), [32, 8, 56, 40])
    assert prompt_box(hidden, "visible_box") is None
    assert prompt_box(hidden, "points") is None
    np.testing.assert_array_equal(prompt_box(hidden, "amodal_box"), [8, 8, 24, 24])
    points = prompt_points(occluded, seed=3)
    assert points.labels.tolist() == [1, 1]
    for x, y in points.coords_xy:
        assert occluded.visible_mask[int(y), int(x)]
    np.testing.assert_array_equal(points.coords_xy, prompt_points(occluded, seed=3).coords_xy)
    assert (points.coords_xy != prompt_points(occluded, seed=4).coords_xy).any()


def test_without_tracks_m_spec_is_the_expanded_box(samples, fake_model):
    answers = Prompter(fake_model().predictor, "visible_box", False, 0).answer(
        samples[0].image.load(), samples[:2]
    )
    assert answers.prompted.tolist() == [True, True]
    np.testing.assert_array_equal(answers.visible_masks[0], samples[0].amodal_mask)
    grown = answers.raw_amodal_masks[0]
    assert (grown & samples[0].amodal_mask).sum() == samples[0].amodal_mask.sum()
    assert 1.2 < grown.sum() / samples[0].amodal_mask.sum() < 1.7


def test_gain_zero_is_the_base_model(samples, fake_model):
    answers = Prompter(fake_model(0.0).predictor, "visible_box", False, 0).answer(
        samples[0].image.load(), samples[:2]
    )
    np.testing.assert_array_equal(answers.raw_amodal_masks, answers.visible_masks)


def test_a_hidden_object_is_answered_with_nothing(samples, fake_model):
    prompter = Prompter(fake_model().predictor, "visible_box", True, 0)
    answers = prompter.answer(samples[2].image.load(), samples[2:3])
    assert answers.prompted.tolist() == [False]
    assert not answers.raw_amodal_masks.any()
    assert answers.predicted_iou.tolist() == [0]


def test_points_reach_the_model(samples, fake_model):
    answers = Prompter(fake_model(0.0).predictor, "points", False, 5).answer(
        samples[0].image.load(), samples[:1]
    )
    x, y = prompt_points(samples[0], 5).coords_xy[0]
    assert answers.raw_amodal_masks[0][int(y), int(x)]
    assert mask_iou(answers.raw_amodal_masks[0], samples[0].amodal_mask) < 0.9


@pytest.mark.parametrize("kind", ["visible_box", "points"])
def test_tracks_feed_the_previous_amodal_mask(samples, fake_model, kind):
    """The fake's amodal mask holds M_spec: the dilated mask of the frame before shows in it."""
    frames = samples[3:]
    prompter = Prompter(fake_model().predictor, kind, True, 0)
    answers = [prompter.answer(sample.image.load(), [sample]) for sample in frames]
    assert [a.prompted.tolist() for a in answers] == [[True]] * 3
    before = answers[0].raw_amodal_masks[0] | answers[0].visible_masks[0]
    dilated = dilate_mask(before, 0.1 * np.sqrt(before.sum()))
    covered = (answers[1].raw_amodal_masks[0] & dilated).sum() / dilated.sum()
    assert covered > 0.95
    assert answers[2].raw_amodal_masks[0].any(), "the hidden frame is answered by the track"
    alone = Prompter(fake_model().predictor, kind, False, 0)
    assert not alone.answer(frames[2].image.load(), [frames[2]]).prompted.any()


def test_another_video_starts_afresh(samples, fake_model):
    prompter = Prompter(fake_model().predictor, "visible_box", True, 0)
    prompter.answer(samples[3].image.load(), [samples[3]])
    object.__setattr__(samples[5], "video_id", 2)
    assert not prompter.answer(samples[5].image.load(), [samples[5]]).prompted.any()


def test_what_is_no_model_is_refused(tmp_path):
    from amodal_ros.errors import AmodalError

    checkpoint = tmp_path / "adapters.safetensors"
    with pytest.raises(AmodalError, match="no such model folder or checkpoint"):
        open_model(checkpoint)
    checkpoint.write_bytes(b"")
    with pytest.raises(AmodalError, match="its base weights are needed too"):
        open_model(checkpoint)
    with pytest.raises(AmodalError, match="second_look: expected a model folder"):
        open_model(checkpoint, base=checkpoint, second_look=True)
    with pytest.raises(AmodalError, match="needs no base weights"):
        open_model(tmp_path, base=checkpoint)
    with pytest.raises(AmodalError, match=r"manifest\.json: no such file"):
        open_model(tmp_path)
