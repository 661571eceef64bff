# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import box_iou, boxes_to_masks, expand_boxes
from training.datasets.previous_mask import PreviousMaskConfig
from training.datasets.prior_sampling import (
    PRIOR_KINDS,
    PriorSamplingConfig,
    jittered_box,
    noisy_box,
    perturbed_mask,
    sample_prior,
)

HW = (120, 160)


def masks(layout) -> tuple[np.ndarray, np.ndarray]:
    return layout.rectangle(40, 30, 110, 90, HW), layout.rectangle(40, 30, 80, 90, HW)


def only(kind: str, **changes) -> PriorSamplingConfig:
    weights = tuple(float(kind == k) for k in PRIOR_KINDS)
    return PriorSamplingConfig(kind_weights=weights, **changes)


def test_same_seed_same_samples_and_all_kinds_in_proportion(layout):
    amodal, visible = masks(layout)
    draws = [
        [sample_prior(amodal, visible, rng, None) for _ in range(400)]
        for rng in (np.random.default_rng(5), np.random.default_rng(5))
    ]
    for a, b in zip(*draws, strict=True):
        np.testing.assert_array_equal(a.prior_mask, b.prior_mask)
        np.testing.assert_array_equal(a.box_xyxy, b.box_xyxy)
    counts = Counter(sample.kind for sample in draws[0])
    weights = (*PriorSamplingConfig().kind_weights, 0.0)
    expected = dict(zip(PRIOR_KINDS, weights, strict=True))
    assert {kind: counts[kind] / 400 for kind in PRIOR_KINDS} == pytest.approx(expected, abs=0.08)
    for sample in draws[0]:
        assert sample.prior_mask.shape == HW
        assert sample.prior_mask.any()
        x0, y0, x1, y1 = sample.box_xyxy
        assert 0 <= x0 < x1 <= HW[1]
        assert 0 <= y0 < y1 <= HW[0]


def test_without_noise_the_prior_is_the_box_of_inference(layout):
    amodal, visible = masks(layout)
    config = only("jittered_box", box_jitter=0.0, expand_jitter=0.0)
    sample = sample_prior(amodal, visible, np.random.default_rng(0), config)
    assert sample.box_xyxy.tolist() == [40, 30, 80, 90]
    np.testing.assert_array_equal(sample.prior_mask, layout.rectangle(36, 24, 84, 96, HW))


def test_without_previous_masks_every_draw_is_as_it_was(layout):
    """A run that began before the fifth kind existed goes on with the same samples."""
    amodal, visible = masks(layout)
    four, five = PriorSamplingConfig(), only("previous")
    assert len(four.kind_weights) == 4
    for seed in range(30):
        sample = sample_prior(amodal, visible, np.random.default_rng(seed), four, amodal)
        rng = np.random.default_rng(seed)
        kind = PRIOR_KINDS[int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))]
        assert sample.kind == kind
        if kind != "noisy_box":
            moved = np.array([40, 30, 80, 90]) + rng.normal(0.0, 0.02, 4) * [40, 60, 40, 60]
            np.testing.assert_array_equal(sample.box_xyxy, moved.astype(np.float32))
        zero = replace(four, kind_weights=(*four.kind_weights, 0.0))
        same = sample_prior(amodal, visible, np.random.default_rng(seed), zero)
        np.testing.assert_array_equal(sample.prior_mask, same.prior_mask)
        tracked = sample_prior(amodal, visible, np.random.default_rng(seed), five)
        assert tracked.kind == "previous"


def test_the_previous_mask_guides_unless_it_lies_apart_from_the_prompt(layout):
    amodal, visible = masks(layout)
    far = layout.rectangle(140, 5, 158, 15, HW)
    wrong = only("previous", previous=PreviousMaskConfig(wrong=1.0), expand_jitter=0.0)
    sample = sample_prior(amodal, visible, np.random.default_rng(0), wrong, far)
    box = expand_boxes(sample.box_xyxy[None], 1.2, HW)
    np.testing.assert_array_equal(sample.prior_mask, boxes_to_masks(box, HW)[0])
    near = layout.rectangle(70, 35, 120, 80, HW)
    sample = sample_prior(amodal, visible, np.random.default_rng(0), wrong, near)
    assert sample.prior_mask[near].all()
    assert not sample.prior_mask[30:90, 40:55].any()


def test_without_a_detection_the_prompt_is_about_what_was_seen_before(layout):
    amodal, visible = masks(layout)
    config = only("previous", previous=PreviousMaskConfig(undetected=1.0, wrong=0.0))
    boxes = np.stack(
        [
            sample_prior(amodal, visible, np.random.default_rng(seed), config).box_xyxy
            for seed in range(60)
        ]
    )
    truth = np.array([[40, 30, 80, 90]], dtype=np.float32)
    assert box_iou(boxes, truth).min() >= config.noise_min_iou
    assert np.abs(boxes - truth).mean() > 2.0  # a jittered box is off by 1


def test_noisy_boxes_scatter_but_keep_the_overlap(layout):
    box = np.array([40, 30, 80, 90], dtype=np.float32)
    config = PriorSamplingConfig(noise_std=0.5, noise_min_iou=0.6)
    rng = np.random.default_rng(1)
    boxes = np.stack([noisy_box(box, HW, rng, config) for _ in range(200)])
    overlaps = box_iou(boxes, box[None])[:, 0]
    assert overlaps.min() >= 0.6
    assert overlaps.std() > 0.05
    assert boxes.dtype == np.float32


def test_jitter_moves_edges_by_the_stated_amount():
    box = np.array([40, 30, 80, 90], dtype=np.float32)
    rng = np.random.default_rng(2)
    moved = np.stack([jittered_box(box, HW, rng, 0.05) for _ in range(2000)]) - box
    np.testing.assert_allclose(moved.std(axis=0), [2, 3, 2, 3], rtol=0.1)
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=0.2)


@pytest.mark.parametrize(("amount", "grows"), [(0.1, True), (-0.1, False)])
def test_masks_grow_shrink_and_shift(layout, amount, grows):
    amodal, _ = masks(layout)
    config = PriorSamplingConfig(grow_range=(amount, amount), shift_std=0.0)
    result = perturbed_mask(amodal, np.random.default_rng(0), config)
    radius = int(0.1 * np.sqrt(amodal.sum()))
    if grows:
        assert (result & amodal).sum() == amodal.sum()
        assert result[30 - radius, 75]
        assert not result[30 - radius - 1, 75]
    else:
        expected = layout.rectangle(40 + radius, 30 + radius, 110 - radius, 90 - radius, HW)
        np.testing.assert_array_equal(result, expected)
    shifting = PriorSamplingConfig(grow_range=(0.0, 0.0), shift_std=0.2)
    shifted = perturbed_mask(amodal, np.random.default_rng(3), shifting)
    assert shifted.sum() <= amodal.sum()
    assert (shifted != amodal).any()


def test_a_prior_is_never_empty(layout):
    speck = layout.rectangle(0, 0, 2, 1, HW)
    config = only("amodal_mask", grow_range=(-5.0, -5.0), shift_std=50.0)
    for seed in range(20):
        sample = sample_prior(speck, speck, np.random.default_rng(seed), config)
        assert sample.prior_mask.any()


def test_what_cannot_be_drawn_from_is_refused(layout):
    amodal, visible = masks(layout)
    with pytest.raises(InvalidInputError, match="must not be empty"):
        sample_prior(amodal, np.zeros_like(visible), np.random.default_rng(0))
    for weights in ((0, 0, 0, 0), (1, 1, 1), (1, 0, 0, 0, 0, 1)):
        with pytest.raises(InvalidInputError, match="kind_weights"):
            PriorSamplingConfig(kind_weights=weights)
    with pytest.raises(InvalidInputError, match="low before high"):
        PriorSamplingConfig(grow_range=(0.2, 0.1))
    with pytest.raises(InvalidInputError, match="noise_min_iou"):
        PriorSamplingConfig(noise_min_iou=1.0)
