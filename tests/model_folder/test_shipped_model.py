# SPDX-License-Identifier: Apache-2.0
"""The model folder in the package, through the whole core on real photos.

`golden_mobile_sam.json` holds masks by the official `mobile_sam` modules (torch, float32, the same
base weights and regions), which share no code with what is tested here; `golden_mobile_sam.py`
makes it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from amodal_ros.image.masks import mask_iou
from amodal_ros.image.rle import decode_rle
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import EngineOptions, load_predictor
from amodal_ros.model_folder.manifest import default_model_dir
from amodal_ros.types import PointPrompt
from training.evaluation.open_model import open_model
from training.evaluation.segmenters import OpenedModel

GOLDEN = json.loads((Path(__file__).parent / "golden_mobile_sam.json").read_text())


@pytest.fixture(scope="module")
def predictor() -> AmodalPredictor:
    return load_predictor(None, EngineOptions("onnxruntime", threads=2))


@pytest.fixture(scope="module")
def base_model() -> OpenedModel:
    return open_model(default_model_dir(), adapter_gain=0.0, threads=2)


@pytest.mark.parametrize("entry", GOLDEN, ids=[entry["photo"] for entry in GOLDEN])
def test_with_gain_0_masks_equal_those_of_the_official_modules(
    base_model: OpenedModel, entry: dict
) -> None:
    features = base_model.predictor.encode(getattr(data, entry["photo"])())
    boxes = np.array([item["box_xyxy"] for item in entry["objects"]], dtype=np.float32)
    got = base_model.predictor.predict(features, boxes, [None] * len(boxes))
    for row, item in enumerate(entry["objects"]):
        assert mask_iou(got.visible_masks[row], decode_rle(item["mask"])) >= 0.98
        assert mask_iou(got.amodal_masks[row], decode_rle(item["mask"])) >= 0.98


def test_masks_differ_exactly_when_the_adapters_are_trained(predictor: AmodalPredictor) -> None:
    features = predictor.encode(data.chelsea())
    got = predictor.predict(features, [GOLDEN[2]["objects"][0]["box_xyxy"]])
    same = np.array_equal(got.raw_amodal_masks, got.visible_masks)
    assert same != predictor.manifest.trained


def test_a_point_on_the_cat_finds_it(predictor: AmodalPredictor) -> None:
    features = predictor.encode(data.chelsea())
    got = predictor.predict(features, points=[PointPrompt.from_points([[150, 100]])])
    cat = decode_rle(GOLDEN[2]["objects"][0]["mask"])
    inside = (got.visible_masks[0] & cat).sum() / got.visible_masks[0].sum()
    assert got.visible_masks[0, 100, 150]
    assert inside > 0.9


MEMORY = """
import sys, numpy as np
from amodal_ros.loading import EngineOptions, load_predictor

def megabytes(field):
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines[field].split()[0]) / 1024

predictor = load_predictor(None, EngineOptions("onnxruntime", threads=2))
image = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), dtype=np.uint8)
resident = []
for count in [4, 1, 3, 2, 4, 1, 4, 2, 3, 4]:
    boxes = [[50 + 90 * row, 60, 250 + 90 * row, 400] for row in range(count)]
    predictor.predict(predictor.encode(image), boxes)
    resident.append(megabytes("VmRSS"))
print(megabytes("VmHWM"), max(resident[:5]), max(resident[5:]))
"""


@pytest.mark.slow
def test_memory_is_bounded_and_flat_while_the_number_of_objects_varies() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    peak, early, late = map(float, answer.stdout.split())
    assert peak < 1200
    assert late < early * 1.1
