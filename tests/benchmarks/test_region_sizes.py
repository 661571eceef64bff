# SPDX-License-Identifier: Apache-2.0
"""Accuracy by region size and box size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amodal_ros.image.rle import encode_rle
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.metrics import Overlap
from benchmarks.region_sizes import STILLS_FILE, Looked, look_at_all, summary, table
from tests.fakes import FakeBackend, fake_manifest

HW = (120, 160)


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    """One picture: two boxes of one place and nearly one size, one of another."""
    Image.fromarray(np.full((*HW, 3), 90, np.uint8)).save(tmp_path / "1.png")
    annotations = []
    for number, (x0, y0, x1, y1) in enumerate(
        ((20, 20, 60, 60), (22, 22, 64, 62), (90, 70, 150, 110))
    ):
        mask = np.zeros(HW, bool)
        mask[y0:y1, x0:x1] = True
        record: dict[str, Any] = {"id": number + 1, "image_id": 1, "category_id": 1, "iscrowd": 0}
        record |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": int(mask.sum())}
        annotations.append(
            record | {"segmentation": encode_rle(mask), "visible_mask": encode_rle(mask)}
        )
    content = {
        "images": [{"id": 1, "file_name": "1.png", "height": HW[0], "width": HW[1]}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "thing"}],
    }
    (tmp_path / STILLS_FILE).write_text(json.dumps(content))
    return tmp_path


def test_each_object_is_asked_for_at_each_size(stills: Path) -> None:
    manifest = fake_manifest("roi", "roi", one_pass=True)
    predictor = AmodalPredictor(manifest, FakeBackend(manifest))
    looked = list(look_at_all(stills, 2, [(predictor, False), (predictor, False)]))
    assert [one.side for one in looked] == [40, 40, 60, 60]
    assert {one.size for one in looked} == {manifest.image_size}
    assert all(one.overlap.iou_full > 0.5 for one in looked)  # the fake fills box and M_spec
    assert all(one.spent_ms > 0 for one in looked)


def test_means_are_those_of_boxes_of_a_size() -> None:
    def looked(size: int, side: int, common: int, hidden: int = 0) -> Looked:
        overlap = Overlap(common, 100, hidden // 2, max(hidden, 1), 100, hidden, hidden)
        return Looked(size, side, overlap, 10.0)

    rows = summary([looked(448, 50, 90), looked(448, 50, 70, 20), looked(448, 140, 50)])
    by_side = {tuple(row["side_px"]): row for row in rows}
    small, whole = by_side[0, 80], by_side[0, 10_000]
    assert (small["objects"], small["occluded"]) == (2, 1)
    assert (small["miou_full"], small["miou_occ"]) == (80.0, 50.0)
    assert by_side[80, 130]["miou_full"] is None
    assert whole["miou_full"] == 70.0
    text = table(rows)
    assert "| 0 to 80 | 2 (1) | 448 | 80.0 | 50.0 | 10.0 |" in text
    assert "| 0 and more | 3 (1) | 448 | 70.0 |" in text
