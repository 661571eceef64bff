# SPDX-License-Identifier: Apache-2.0
"""A held-out split as `amodal_coco` (Table 6), read back by the evaluation's own reader."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from training.datasets import open_dataset
from training.taos.__main__ import main
from training.taos.sampler import TaosShards


@pytest.mark.parametrize("frames", [1, 4])
def test_the_export_says_what_the_shards_say(yolo_root: Path, tmp_path: Path, frames: int) -> None:
    out = tmp_path / "split"
    options = ["--source", f"yolo:{yolo_root}", "--count", "5", "--seed", "8"]
    options += ["--frames", str(frames), "--format", "amodal_coco", "--image-format", "png"]
    assert main([*options, "--out", str(out)]) == 0
    shards = TaosShards(out / "shards")
    samples = [shards[index] for index in range(len(shards))]
    content = json.loads((out / "annotations.json").read_text())
    assert len(samples) == len(content["images"]) == len(content["annotations"]) == 5 * frames
    for sample, image, annotation in zip(
        samples, content["images"], content["annotations"], strict=True
    ):
        assert annotation["image_id"] == image["id"]
        assert (coco_mask.decode(annotation["segmentation"]) == sample.amodal).all()
        assert (coco_mask.decode(annotation["visible_mask"]) == sample.visible).all()
        assert annotation["bbox"] == list(cv2.boundingRect(sample.amodal.astype(np.uint8)))
        assert annotation["visible_bbox"] == list(
            cv2.boundingRect(sample.visible.astype(np.uint8))
        )
        picture = cv2.imread(str(out / "images" / image["file_name"]))
        assert (picture[..., ::-1] == sample.image).all()
        if frames > 1:
            assert image["video_id"] == sample.provenance["index"]
            assert image["frame"] == sample.provenance["frame"]
            assert annotation["track_id"] == 1
        else:
            assert "video_id" not in image
            assert "track_id" not in annotation


def test_the_evaluation_reads_it(yolo_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "split"
    options = ["--source", f"yolo:{yolo_root}", "--count", "4", "--frames", "3"]
    assert main([*options, "--format", "amodal_coco", "--out", str(out)]) == 0
    dataset = open_dataset("amodal_coco", out, out / "annotations.json")
    shards = TaosShards(out / "shards")
    samples = [shards[index] for index in range(len(shards))]
    assert len(dataset) == len(samples) == 12
    for index, sample in enumerate(samples):
        read = dataset[index]
        assert (read.amodal_mask == sample.amodal).all()
        assert (read.visible_mask == sample.visible).all()
        assert (read.video_id, read.frame) == (sample.provenance["index"], index % 3)
