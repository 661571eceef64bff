# SPDX-License-Identifier: Apache-2.0
"""TAOS as a source of training items: composed on the fly, or from shards in any order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.config import AmodalConfig
from tests.training.taos.taos_drawings import write_yolo
from training.data.config import DataConfig, SourceConfig
from training.data.dataset import build_dataset, collate
from training.taos.config import TaosConfig
from training.taos.runner import TaosRun, run_taos
from training.taos.sampler import TaosShards
from training.taos.shards import read_shard, shard_files
from training.untrusted import CorruptRecordError

MODEL = AmodalConfig(base="mobile_sam", image_size=64)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"yolo:{write_yolo(tmp_path_factory.mktemp('yolo'))}"


@pytest.fixture(scope="module")
def shards(photos: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "out"
    run_taos(
        TaosRun(
            config=TaosConfig(shard_size=4, image_format="png"),
            sources=(photos,),
            count=8,
            out=out,
            cache=out.parent / "cache",
        ),
        workers=1,
    )
    return out


def test_any_sample_is_read_alone(shards):
    index = TaosShards(shards)
    expected = [sample for path in shard_files(shards) for sample in read_shard(path)]
    assert len(index) == len(expected) > 0
    for number in (len(expected) - 1, 0):
        found = index[number]
        for name in ("image", "original", "amodal", "visible", "occlusion", "occluder"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected[number], name))
        assert found.provenance == expected[number].provenance
    assert len(TaosShards(shards, limit=1)) < len(expected)
    with pytest.raises(InvalidInputError, match="at least 9"):
        TaosShards(shards, limit=9)


def test_a_damaged_shard_is_named(shards, tmp_path):
    whole = shard_files(shards)[0].read_bytes()
    (tmp_path / "taos-000000.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptRecordError, match=r"taos-000000\.tar"):
        TaosShards(tmp_path)


def test_composites_are_items(photos, tmp_path):
    source = SourceConfig(
        kind="taos",
        materials=[photos],
        options={"long_side": 160, "blur_size": 3},
        cache=str(tmp_path),
    )
    config = DataConfig(sources=[source], framing="roi", photometric=0.0, flip=0.0)
    dataset, again = (build_dataset(config, MODEL, 2) for _ in range(2))
    a, b = collate([dataset[4], dataset[9]]), collate([again[4], again[9]])
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.amodal, b.amodal)
    assert a.originals.shape == (2, 3, 16, 16)
    other = collate([build_dataset(config, MODEL, 3)[4]])
    assert not torch.equal(other.images, a.images[:1])


def test_originals_show_what_is_hidden(shards):
    source = SourceConfig(kind="taos_shards", path=str(shards))
    config = DataConfig(sources=[source], framing="roi", photometric=0.0, flip=0.0)
    dataset = build_dataset(config, MODEL, 0)
    batch = collate([dataset[i] for i in range(12)])
    small = np.stack([
        cv2.resize(image.numpy().transpose(1, 2, 0), (16, 16), interpolation=cv2.INTER_AREA)
        for image in batch.images
    ])  # fmt: skip
    differences = np.abs(batch.originals.numpy().transpose(0, 2, 3, 1) - small).max(axis=3)
    occluded = batch.occluded.numpy()[:, 0]
    for difference, hidden in zip(differences, occluded, strict=True):
        if hidden.sum() > 200:
            shrunk = cv2.resize(hidden, (16, 16), interpolation=cv2.INTER_AREA) > 0.9
            if shrunk.any():
                assert difference[shrunk].mean() > 0.1
    assert (occluded.sum(axis=(1, 2)) > 200).any()
