# SPDX-License-Identifier: Apache-2.0
"""Items of the training data: pure, framed as the predictor frames, prompted as asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import boxes_to_masks, expand_boxes
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import mask_box
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD
from amodal_ros.modeling.config import AmodalConfig
from tests.training.data.conftest import HW, draw
from training.batch import TrainClip
from training.data.config import DataConfig, PriorConfig, SourceConfig, ValidationConfig
from training.data.dataset import build_dataset, build_validation, collate
from training.data.framing import mask_to_input
from training.datasets import AmodalCocoWriter, open_dataset

MODEL = AmodalConfig(base="mobile_sam", image_size=64)


def roi_config(scenes: Path, **changes: object) -> DataConfig:
    config = DataConfig(sources=[SourceConfig(kind="scenes", path=str(scenes))], framing="roi")
    return replace(config, **changes)


def clean_config(scenes: Path) -> DataConfig:
    return roi_config(
        scenes,
        roi_factor=[1.8, 1.8],
        roi_shift=0.0,
        prior=PriorConfig(kind="clean"),
        flip=0.0,
        photometric=0.0,
    )


def test_an_item_depends_on_seed_and_number_alone(scenes):
    first, second = (build_dataset(roi_config(scenes), MODEL, 3) for _ in range(2))
    other = build_dataset(roi_config(scenes), MODEL, 4)
    for index in (5, 0, 123456):
        a, b = collate([first[index]]), collate([second[index]])
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.prior_masks, b.prior_masks)
        assert torch.equal(a.boxes_xyxy, b.boxes_xyxy)
        assert a.keys == b.keys
    assert any(not torch.equal(collate([other[i]]).images, collate([first[i]]).images)
               for i in range(3))  # fmt: skip


def test_a_region_is_the_predictors(scenes):
    dataset = build_dataset(clean_config(scenes), MODEL, 0)
    chunk = scenes / "chunk_00000"
    records = [
        sample
        for name in ("chunk_00000", "chunk_00001")
        for sample in open_dataset(
            "amodal_coco", scenes / name, scenes / name / "annotations.json"
        )
    ]
    by_key = {str(sample.provenance): sample for sample in records}
    assert any(str(chunk) in key for key in by_key)
    for index in range(4):
        batch = collate([dataset[index]])
        sample = by_key[batch.keys[0]]
        box = sample.visible_box_xyxy
        geometry = ResizeGeometry.roi(sample.image.hw, expand_boxes(box[None], 1.8)[0], 64)
        expected = preprocess_image(sample.image.load(), geometry, PIXEL_MEAN, PIXEL_STD)
        np.testing.assert_array_equal(batch.images.numpy(), expected)
        np.testing.assert_allclose(batch.boxes_xyxy.numpy(), geometry.boxes_to_input(box[None]))
        prior = boxes_to_masks(expand_boxes(box[None], 1.2, sample.image.hw), sample.image.hw)
        np.testing.assert_array_equal(batch.prior_masks.numpy(), geometry.masks_to_input(prior))
        assert batch.amodal.sum() >= batch.visible.sum() > 0
        assert (batch.occluded >= 0).all()


def test_full_framing_letterboxes_or_stretches(scenes):
    config = replace(clean_config(scenes), framing="full")
    boxed = collate([build_dataset(config, MODEL, 0)[0]])
    assert boxed.valid[0, 0, 48:].sum() == 0  # 120 x 160 pixels leave a quarter for padding
    assert boxed.valid[0, 0, :48].all()
    stretched = AmodalConfig(base="sam2.1_hiera_t", image_size=64)
    assert collate([build_dataset(config, stretched, 0)[0]]).valid.all()


def test_masks_are_carried_smoothly():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 12:28] = True
    half = ResizeGeometry.roi((40, 40), np.array([0, 0, 40, 40.0]), 20)
    np.testing.assert_array_equal(mask_to_input(mask, half), mask[::2, ::2])
    rows, columns = np.mgrid[:40, :40]
    disc = (rows - 20) ** 2 + (columns - 20) ** 2 < 10**2
    large = ResizeGeometry.roi((40, 40), np.array([5, 5, 35, 35.0]), 240)
    magnified = mask_to_input(disc, large)
    assert magnified.sum() / 64 == pytest.approx(disc.sum(), rel=0.02)
    steps = np.abs(np.diff([mask_box(magnified[k : k + 1])[0] for k in range(60, 180)]))
    assert np.count_nonzero(steps) > 30, "nearest neighbour would step once in 8 rows"
    outside = ResizeGeometry.roi((40, 40), np.array([-20, -20, 60, 60.0]), 80)
    np.testing.assert_array_equal(mask_to_input(disc, outside)[20:60, 20:60], disc)


def test_occluded_objects_come_as_often_as_asked(scenes):
    for share in (0.25, 0.9):
        dataset = build_dataset(roi_config(scenes, occluded_share=share), MODEL, 0)
        hidden = [collate([dataset[i]]).occluded.sum() > 40 for i in range(60)]
        assert abs(np.mean(hidden) - share) < 0.15


def test_prompts(scenes):
    points = collate([build_dataset(roi_config(scenes, prompt="points"), MODEL, 0)[0]])
    assert points.boxes_xyxy is None
    assert points.points.shape == (1, 2, 2)
    x, y = points.points[0, 0].long()
    assert points.visible[0, 0, y, x] == 1
    mixed = build_dataset(roi_config(scenes, prompt="mixed"), MODEL, 0)
    batch = collate([mixed[i] for i in range(12)])
    kinds = {tuple(labels.tolist()) for labels in batch.point_labels}
    assert kinds == {(1.0, 1.0), (2.0, 3.0)}
    wide = build_dataset(replace(clean_config(scenes), prompt_expand=1.5), MODEL, 0)
    tight = build_dataset(clean_config(scenes), MODEL, 0)
    a, b = (collate([d[0]]).boxes_xyxy[0] for d in (wide, tight))
    assert (a[2] - a[0]) / (b[2] - b[0]) == pytest.approx(1.5, rel=0.05)


def test_without_a_prior_it_is_empty(scenes):
    config = roi_config(scenes, prior=PriorConfig(kind="none"))
    assert not collate([build_dataset(config, MODEL, 0)[0]]).prior_masks.any()


def test_validation_is_fixed_and_clean(scenes):
    config = roi_config(
        scenes,
        validation=ValidationConfig(
            sources=[SourceConfig(kind="scenes", path=str(scenes))], count=5, roi_factor=2.0
        ),
    )
    first, second = (build_validation(config, MODEL) for _ in range(2))
    assert len(first) == 5
    a, b = (collate([d[i] for i in range(5)]) for d in (first, second))
    assert torch.equal(a.images, b.images)
    side = a.boxes_xyxy[:, 2:] - a.boxes_xyxy[:, :2]
    assert torch.allclose(side.max(dim=1).values, torch.full((5,), 32.0), atol=1.0)
    assert build_validation(roi_config(scenes), MODEL) is None


def test_clips_follow_one_object(video):
    source = SourceConfig(
        kind="amodal_coco", path=str(video), annotations=str(video / "annotations.json")
    )
    config = DataConfig(sources=[source], frames=3, min_visible_px=10)
    clip = collate([build_dataset(config, MODEL, 0)[i] for i in range(2)])
    assert isinstance(clip, TrainClip)
    assert len(clip.frames) == 3
    starts = [mask_box(frame.amodal[0, 0].numpy() > 0)[0] for frame in clip.frames]
    steps = np.diff(starts)
    assert abs(steps[0] - steps[1]) <= 1
    assert abs(steps[0]) in (1, 2)  # 4 pixels a frame, at 0.4 of the size


def test_several_objects_share_an_image(scenes, tmp_path):
    image, amodal, visible = draw(0, occluded=True)
    Image.fromarray(image).save(tmp_path / "a.png")
    writer = AmodalCocoWriter({}, ["disc"])
    number = writer.add_image("a.png", HW)
    for _ in range(3):
        writer.add_object(number, "disc", amodal, visible)
    writer.write(tmp_path / "annotations.json")
    source = SourceConfig(
        kind="amodal_coco", path=str(tmp_path), annotations=str(tmp_path / "annotations.json")
    )
    dataset = build_dataset(DataConfig(sources=[source], objects_per_image=2), MODEL, 0)
    batch = collate([dataset[0], dataset[1]])
    assert batch.images.shape[0] == 2
    assert batch.image_index.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"framing": "crop"}, "framing"),
        ({"sources": []}, "at least one source"),
        ({"roi_factor": [0.5, 2.0]}, "roi_factor"),
        ({"frames": 2}, "clips need framing full"),
        ({"feature_cache": "x"}, "cache_items"),
        ({"prior": PriorConfig(kind="guess")}, "prior.kind"),
    ],
)
def test_unusable_settings_are_named(scenes, changes, message):
    with pytest.raises(InvalidInputError, match=message):
        build_dataset(roi_config(scenes, **changes), MODEL, 0)


def test_missing_scenes_are_named(scenes, tmp_path):
    empty = SourceConfig(kind="scenes", path=str(tmp_path))
    with pytest.raises(InvalidInputError, match=r"chunk_\*"):
        build_dataset(roi_config(scenes, sources=[empty]), MODEL, 0)
    many = SourceConfig(kind="scenes", path=str(scenes), limit=3)
    with pytest.raises(InvalidInputError, match="at least 3 chunks of scenes, found 2"):
        build_dataset(roi_config(scenes, sources=[many]), MODEL, 0)


def test_a_source_of_invisible_objects_says_so(scenes):
    config = roi_config(scenes, min_visible_px=100_000)
    with pytest.raises(InvalidInputError, match="nothing usable in 50 draws"):
        build_dataset(config, MODEL, 0)[0]


def test_what_is_seen_of_other_objects_comes_along(tmp_path: Path):
    folder = tmp_path / "chunk_00000"
    (folder / "images").mkdir(parents=True)
    writer = AmodalCocoWriter({}, ["disc"])
    image, amodal, visible = draw(0, occluded=True)
    Image.fromarray(image).save(folder / "images" / "0.png")
    number = writer.add_image("0.png", HW)
    writer.add_object(number, "disc", amodal, visible)
    writer.add_object(number, "disc", amodal & ~visible, amodal & ~visible)
    writer.write(folder / "annotations.json")
    dataset = open_dataset("amodal_coco", folder, folder / "annotations.json")
    assert np.array_equal(dataset.others(0), amodal & ~visible)
    assert np.array_equal(dataset.others(1), visible)
    batch = collate([build_dataset(clean_config(tmp_path), MODEL, 3)[0]])
    assert batch.others.any()
    assert not (batch.others * batch.visible).any()
