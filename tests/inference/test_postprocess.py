# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import mask_iou
from amodal_ros.inference.postprocess import masks_from_logits


def blobs(count: int, seed: int) -> np.ndarray:
    """Logits of wavy discs of several sizes, some cut by the border."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    logits = []
    for _ in range(count):
        cy, cx, radius = rng.uniform(0, 250), rng.uniform(0, 250), rng.uniform(15, 90)
        angle = np.arctan2(y - cy, x - cx)
        rim = radius * (1 + 0.15 * np.sin(5 * angle))
        logits.append((rim - np.hypot(y - cy, x - cx)) / 3)
    return np.array(logits, np.float32)[:, None]


class OfficialEncoder(torch.nn.Module):
    img_size = 1024


@pytest.mark.parametrize("hw", [(720, 1280), (1280, 720), (333, 501), (1024, 1024), (1511, 997)])
def test_masks_equal_the_official_ones(hw: tuple[int, int]) -> None:
    """segment_anything interpolates twice, to the input and to the image; we do it in one step."""
    geometry = ResizeGeometry.letterbox(hw, 1024)
    logits = blobs(6, seed=hw[0])
    sam = Sam(OfficialEncoder(), torch.nn.Identity(), torch.nn.Identity())
    official = sam.postprocess_masks(torch.from_numpy(logits), geometry.content_hw, hw) > 0
    masks = masks_from_logits(logits, [geometry] * 6)
    for ours, theirs in zip(masks, official[:, 0].numpy(), strict=True):
        if theirs.sum() > 500:
            assert mask_iou(ours.full(), theirs) >= 0.99


def test_each_object_has_its_own_geometry() -> None:
    logits = np.ones((2, 1, 8, 8), np.float32)
    boxes = [[2, 2, 12, 12], [10, 20, 30, 40]]
    masks = masks_from_logits(logits, [ResizeGeometry.roi((50, 60), box, 32) for box in boxes])
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        expected = np.zeros((50, 60), bool)
        expected[y0:y1, x0:x1] = True
        assert np.array_equal(mask.full(), expected)


def test_threshold() -> None:
    geometry = ResizeGeometry.stretch((8, 8), 32)
    logits = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    (mask,) = masks_from_logits(logits, [geometry], 0.5)
    assert np.array_equal(mask.full(), logits[0, 0] > 0.5)


def test_sizes_must_agree() -> None:
    geometries = [ResizeGeometry.stretch((8, 8), 32), ResizeGeometry.stretch((8, 9), 32)]
    with pytest.raises(InvalidInputError, match="expected one original size"):
        masks_from_logits(np.zeros((2, 1, 8, 8), np.float32), geometries)
    with pytest.raises(InvalidInputError, match=r"expected a float32 array of shape \(2, 1"):
        masks_from_logits(np.zeros((1, 1, 8, 8), np.float32), geometries)
