# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.config import AmodalConfig
from training.data.config import DataConfig, SourceConfig
from training.data.dataset import build_dataset, collate
from training.data.photo_objects import open_objects

HW = (240, 320)


def _polygon(x0: int, y0: int, x1: int, y1: int) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One photo: a square by itself, and two that touch."""
    root = tmp_path_factory.mktemp("photos")
    (root / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (*HW, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / "images" / "a.png")
    squares = [_polygon(20, 20, 80, 80), _polygon(150, 100, 200, 180), _polygon(200, 90, 270, 200)]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": HW[0], "width": HW[1]}],
        "categories": [{"id": 1, "name": "square"}],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": 1, "segmentation": [p], "iscrowd": 0}
            for k, p in enumerate(squares)
        ],
    }
    (root / "instances.json").write_text(json.dumps(content))
    return f"coco:{root / 'instances.json'}@{root / 'images'}"


def _config(materials: list[str]) -> DataConfig:
    source = SourceConfig(kind="photos", materials=materials)
    return DataConfig(sources=[source], framing="roi", flip=0.0)


def test_every_polygon_is_a_visible_mask_and_a_lone_one_the_whole_object(photos):
    config = _config([photos])
    source = open_objects(config.sources[0], config, seed=0)
    known = {}
    for number in range(20):
        drawn = source.draw(number, np.random.default_rng(number))
        assert drawn is not None
        (masks,) = drawn[0].objects
        assert len(drawn) == 1
        assert np.array_equal(masks.amodal, masks.visible)
        assert masks.others.any()
        assert not (masks.others & masks.visible).any()
        known[masks.key] = masks.whole_known
    assert known == {"a.png: 0": True, "a.png: 1": False, "a.png: 2": False}


def test_a_batch_says_of_whom_the_whole_is_known(photos):
    data = build_dataset(_config([photos]), AmodalConfig(base="mobile_sam", image_size=64), 0)
    batch = collate([data[i] for i in range(8)])
    assert batch.known.tolist() == [float(key.endswith(": 0")) for key in batch.keys]
    assert batch.others.shape == batch.visible.shape
    assert not (batch.others * batch.visible).any()


def test_cut_outs_and_clips_are_refused(photos, tmp_path: Path):
    Image.new("RGBA", (40, 40)).save(tmp_path / "a.png")
    config = _config([f"cutouts:{tmp_path}"])
    with pytest.raises(InvalidInputError, match="expected outlined photos"):
        open_objects(config.sources[0], config, seed=0)
    config = _config([photos])
    config.frames = 2
    with pytest.raises(InvalidInputError, match="photos are stills"):
        open_objects(config.sources[0], config, seed=0)
