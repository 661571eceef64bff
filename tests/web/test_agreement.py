# SPDX-License-Identifier: Apache-2.0
"""Masks of ten pictures: the page with WebAssembly beside Python, with the shipped model."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from skimage import data

from amodal_ros.image.masks import mask_iou
from amodal_ros.image.rle import decode_rle
from amodal_ros.loading import EngineOptions, load_predictor
from tests.web.browser import SCREENSHOTS, Visitor
from web.__main__ import MODEL

pytestmark = pytest.mark.slow

LEAST_IOU = 0.99
CLIP = Path(__file__).resolve().parents[2] / "amodal_ros" / "demo_clip"


def clip_pictures(count: int) -> list[tuple[np.ndarray, list[float]]]:
    """Frames of the demo clip, each with the box of what is seen of its most hidden object."""
    annotations = json.loads((CLIP / "annotations.json").read_text())
    frames = {image["id"]: image["frame"] for image in annotations["images"]}
    hidden: dict[int, tuple[float, list[float]]] = {}
    for found in annotations["annotations"]:
        seen = decode_rle(found["visible_mask"])
        rate = 1 - seen.sum() / found["area"]
        x, y, width, height = found["visible_bbox"]
        best = hidden.get(frames[found["image_id"]], (0.0, []))
        if seen.sum() > 400 and rate > best[0]:
            hidden[frames[found["image_id"]]] = rate, [x, y, x + width, y + height]
    with av.open(str(CLIP / "clip.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    chosen = sorted(hidden)[:: max(len(hidden) // count, 1)][:count]
    return [(pictures[frame], hidden[frame][1]) for frame in chosen]


def photos() -> list[tuple[np.ndarray, list[float]]]:
    """Photos of scikit-image, small and large: regions that are enlarged and ones that shrink."""
    large = cv2.resize(data.coffee(), None, fx=4.7, fy=4.7, interpolation=cv2.INTER_CUBIC)
    return [
        (data.astronaut(), [100, 10, 330, 300]),
        (data.chelsea(), [90, 10, 330, 280]),
        (data.coffee(), [150, 60, 460, 330]),
        (large, [700, 280, 2160, 1550]),
        (np.rot90(data.coffee(), 1).copy(), [60, 140, 330, 450]),
    ]


def test_masks_of_ten_pictures(visitor_of_the_shipped_model: Visitor, tmp_path: Path) -> None:
    visitor = visitor_of_the_shipped_model
    pictures = clip_pictures(5) + photos()
    assert len(pictures) == 10
    # The page runs ONNX Runtime too, and asks once.
    predictor = load_predictor(
        MODEL, EngineOptions(backend="onnxruntime"), ask_twice=False, fine_edges=False
    )
    visitor.visit()
    agreements = []
    for index, (image, box) in enumerate(pictures):
        path = tmp_path / f"picture-{index}.png"
        cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        visitor.open(path)
        visitor.draw(box, 1)
        (found,) = visitor.coco()["annotations"]
        expected = predictor.predict(predictor.encode(image), [found["prompt"]["box"]])
        agreements.append(
            [
                mask_iou(decode_rle(found["visible_mask"]), expected.visible_masks[0]),
                mask_iou(decode_rle(found["segmentation"]), expected.amodal_masks[0]),
            ]
        )
        assert expected.visible_masks[0].sum() > 400
        assert found["predicted_iou"] == pytest.approx(expected.predicted_iou[0], abs=0.01)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    report = {
        "iou_visible_amodal": np.round(agreements, 5).tolist(),
        "least": float(np.min(agreements)),
        "median": float(np.median(agreements)),
    }
    (SCREENSHOTS / "agreement.json").write_text(json.dumps(report, indent=2))
    assert np.min(agreements) >= LEAST_IOU, report
