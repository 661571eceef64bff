# SPDX-License-Identifier: Apache-2.0
"""Cached items are the items, with the prefix's features in place of the image."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.config import AmodalConfig
from training.data.config import DataConfig, SourceConfig
from training.data.dataset import build_dataset, collate
from training.data.feature_cache import with_cached_features

MODEL = AmodalConfig(base="mobile_sam", image_size=64, positions=(10, 12), hidden_dim=8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_amodal(MODEL)


@pytest.fixture
def config(scenes, tmp_path):
    return DataConfig(
        sources=[SourceConfig(kind="scenes", path=str(scenes))],
        framing="roi",
        feature_cache=str(tmp_path / "cache"),
        cache_items=70,
    )


def test_features_stand_for_images(model, config, tmp_path):
    dataset = build_dataset(config, MODEL, 0)
    cached = with_cached_features(dataset, config, model, "weights", 0)
    indices = [0, 3, 66, 69]
    expected, found = (collate([d[i] for i in indices]) for d in (dataset, cached))
    assert found.images is None
    with torch.no_grad():
        features = model.prefix(expected.images)
    for a, b in zip(features, found.features, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-3)
    for name in ("prior_masks", "boxes_xyxy", "amodal", "visible", "valid", "image_index"):
        assert torch.equal(getattr(expected, name), getattr(found, name)), name
    torch.testing.assert_close(expected.originals, found.originals, rtol=2e-3, atol=2e-3)
    again = collate([cached[i + 70] for i in indices])
    assert torch.equal(again.features[0], found.features[0])


def test_an_interrupted_cache_goes_on(model, config, tmp_path):
    class Counting(torch.utils.data.Dataset):
        def __init__(self, inner):
            self.inner, self.drawn = inner, []

        def __getitem__(self, index):
            self.drawn.append(index)
            return self.inner[index]

    dataset = Counting(build_dataset(config, MODEL, 0))
    with_cached_features(dataset, config, model, "weights", 0)
    assert dataset.drawn == list(range(70))
    folder = next((tmp_path / "cache").iterdir())
    shutil.rmtree(folder / "00001")
    dataset.drawn.clear()
    with_cached_features(dataset, config, model, "weights", 0)
    assert dataset.drawn == list(range(64, 70))


def test_other_weights_or_data_are_another_cache(model, config, tmp_path):
    small = replace(config, cache_items=2)
    dataset = build_dataset(small, MODEL, 0)
    with_cached_features(dataset, small, model, "weights", 0)
    with_cached_features(dataset, small, model, "other weights", 0)
    with_cached_features(dataset, small, model, "weights", 1)
    with_cached_features(dataset, replace(small, flip=0.0), model, "weights", 0)
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_what_cannot_be_cached_is_refused(config, model):
    dataset = build_dataset(config, MODEL, 0)
    with pytest.raises(InvalidInputError, match="objects_per_image"):
        with_cached_features(dataset, replace(config, objects_per_image=2), model, "weights", 0)
    trained = build_amodal(replace(MODEL, unfrozen=("image_encoder",)))
    with pytest.raises(InvalidInputError, match="unfrozen"):
        with_cached_features(dataset, config, trained, "weights", 0)
    assert with_cached_features(
        dataset, replace(config, feature_cache="", cache_items=0), model, "weights", 0
    ) is dataset  # fmt: skip
