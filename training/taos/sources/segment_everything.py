# SPDX-License-Identifier: Apache-2.0
"""Masks for any photo, made as SA-1B's were: a grid of points, and only stable masks kept.

The base model is asked (adapter gain 0, so visible masks) through the predictor's graphs. A
mask is kept if the model thinks it good, if it hardly changes when the threshold moves, and if
no better mask says the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import mask_iou
from amodal_ros.inference.graph_runner import Embeddings, GraphRunner
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.inference.prompts import PADDING_LABEL, DecoderPrompts
from amodal_ros.inference.stopwatch import Stopwatch

MIN_PREDICTED_IOU = 0.85
MIN_STABILITY = 0.90
STABILITY_OFFSET = 1.0
SAME_IOU = 0.7
MIN_AREA_SHARE = 0.0015
_SKIP_SHARE = 0.08
_BATCH = 8


@dataclass(frozen=True, eq=False)
class SelfMask:
    """One mask the model made.

    Attributes:
        mask: (H, W) bool.
        predicted_iou: the model's own opinion.
        stability: IoU of the masks at thresholds +1 and -1 around the model's.
        point_xy: the point it was asked with, image pixels.
    """

    mask: np.ndarray
    predicted_iou: float
    stability: float
    point_xy: tuple[float, float]


def segment_everything(
    predictor: AmodalPredictor, image_rgb: np.ndarray, grid: int
) -> list[SelfMask]:
    """All stable masks of a photo, best first.

    Points inside small masks found so far are skipped; inside large ones there may be more.

    Args:
        predictor: any model folder's.
        image_rgb: (H, W, 3) uint8.
        grid: points per side.
    """
    hw = image_rgb.shape[0], image_rgb.shape[1]
    watch = Stopwatch("prefix", "suffix", "decoder")
    runner = GraphRunner.of(predictor.manifest, predictor.backend, _BATCH, watch)
    geometry, embeddings = _embed(predictor, runner, image_rgb)
    threshold = predictor.manifest.mask_threshold
    found: list[SelfMask] = []
    seen = np.zeros(hw, bool)
    for points in _point_batches(hw, grid):
        fresh = points[[not seen[int(y), int(x)] for x, y in points]]
        if len(fresh) == 0:
            continue
        decoded = runner.decoder(embeddings, [_prompts(fresh, geometry)])
        logits, quality = decoded.logits, decoded.predicted_iou
        stability = _stability(logits, threshold)
        good = (quality >= MIN_PREDICTED_IOU) & (stability >= MIN_STABILITY)
        for row in np.nonzero(good)[0]:
            mask = geometry.logits_to_original(logits[row : row + 1], threshold)[0]
            if np.count_nonzero(mask) < MIN_AREA_SHARE * mask.size:
                continue
            x, y = (float(v) for v in fresh[row])
            found.append(SelfMask(mask, float(quality[row]), float(stability[row]), (x, y)))
            if np.count_nonzero(mask) < _SKIP_SHARE * mask.size:
                seen |= mask
    return _without_doubles(found)


def _embed(
    predictor: AmodalPredictor, runner: GraphRunner, image_rgb: np.ndarray
) -> tuple[ResizeGeometry, Embeddings]:
    features = predictor.encode(image_rgb)
    manifest = predictor.manifest
    if features.image is None:
        encoded, geometry = features.encoded
    else:  # mode roi: the whole photo is the region
        hw = features.original_hw
        whole = np.array([0, 0, hw[1], hw[0]], np.float32)
        geometry = ResizeGeometry.roi(hw, whole, manifest.image_size)
        image = preprocess_image(image_rgb, geometry, manifest.mean, manifest.std)
        encoded = runner.prefix(image)
    blank = np.zeros((1, 1, *geometry.input_hw), np.float32)
    return geometry, runner.suffix(encoded, blank, [0.0])


def _point_batches(hw: tuple[int, int], grid: int) -> Iterator[np.ndarray]:
    """(n, 2) float32 x, y: every second point of the grid first, then those between."""
    steps = (np.arange(grid) + 0.5) / grid
    order = [(r, c) for r in range(0, grid, 2) for c in range(0, grid, 2)]
    order += [(r, c) for r in range(grid) for c in range(grid) if r % 2 or c % 2]
    points = np.array([(steps[c] * hw[1], steps[r] * hw[0]) for r, c in order], np.float32)
    for start in range(0, len(points), _BATCH):
        yield points[start : start + _BATCH]


def _prompts(points: np.ndarray, geometry: ResizeGeometry) -> DecoderPrompts:
    count = len(points)
    coords = np.zeros((count, 2, 2), np.float32)
    coords[:, 0] = geometry.points_to_input(points)
    labels = np.tile(np.array([1.0, PADDING_LABEL], np.float32), (count, 1))
    return DecoderPrompts(np.arange(count, dtype=np.intp), coords, labels)


def _stability(logits: np.ndarray, threshold: float) -> np.ndarray:
    """(n,) IoU of the masks at two thresholds; the smaller one lies inside the larger."""
    inner = np.count_nonzero(logits > threshold + STABILITY_OFFSET, axis=(1, 2, 3))
    outer = np.count_nonzero(logits > threshold - STABILITY_OFFSET, axis=(1, 2, 3))
    return inner / np.maximum(outer, 1)


def _without_doubles(found: list[SelfMask]) -> list[SelfMask]:
    kept: list[SelfMask] = []
    for item in sorted(found, key=lambda m: (-m.predicted_iou, -m.stability, m.point_xy)):
        if all(mask_iou(item.mask, other.mask) < SAME_IOU for other in kept):
            kept.append(item)
    return kept
