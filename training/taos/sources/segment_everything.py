# SPDX-License-Identifier: Apache-2.0
"""Masks for any photo, made as SA-1B's were: a grid of points, and only stable masks kept.

The base model is asked (adapter gain 0, so visible masks) through the predictor's graphs. A
mask is kept if the model thinks it good, if it hardly changes when the threshold moves, and if
no better mask says the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
_WINDOW = 0.6  # of the photo's sides, where a model looks at regions

Window = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, half open."""


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
    threshold = predictor.manifest.mask_threshold
    found: list[SelfMask] = []
    seen = np.zeros(hw, bool)
    for window, geometry, embeddings in _views(predictor, runner, image_rgb):
        for points in _point_batches(window, grid):
            fresh = points[[not seen[int(y), int(x)] for x, y in points]]
            if len(fresh) == 0:
                continue
            decoded = runner.decoder(embeddings, [_prompts(fresh, geometry)])
            logits, quality = decoded.logits, decoded.predicted_iou
            stability = _stability(logits, threshold)
            good = (quality >= MIN_PREDICTED_IOU) & (stability >= MIN_STABILITY)
            for row in np.nonzero(good)[0]:
                mask = geometry.logits_to_original(logits[row : row + 1], threshold)[0]
                area, (x, y) = np.count_nonzero(mask), (float(v) for v in fresh[row])
                small = area < MIN_AREA_SHARE * mask.size
                if small or not mask[int(y), int(x)] or _is_cut(mask, window):
                    continue
                found.append(SelfMask(mask, float(quality[row]), float(stability[row]), (x, y)))
                if area < _SKIP_SHARE * mask.size:
                    seen |= mask
    return _without_doubles(found)


def _views(
    predictor: AmodalPredictor, runner: GraphRunner, image_rgb: np.ndarray
) -> Iterator[tuple[Window, ResizeGeometry, Embeddings]]:
    """What is looked at: the photo, or, by a folder that looks at regions, its corners first.

    A region's model was never asked about a whole photo at its small size: there its masks are
    less stable, and it thinks less of them.
    """
    features = predictor.encode(image_rgb)
    manifest = predictor.manifest
    height, width = features.original_hw
    whole = (0, 0, width, height)
    if features.image is None:
        encoded, geometry = features.encoded
        yield whole, geometry, _without_adapters(runner, encoded, geometry)
        return
    high, wide = round(_WINDOW * height), round(_WINDOW * width)
    corners = [(x, y, x + wide, y + high) for y in (0, height - high) for x in (0, width - wide)]
    for window in (*corners, whole):
        box = np.array(window, np.float32)
        geometry = ResizeGeometry.roi((height, width), box, manifest.image_size)
        image = preprocess_image(image_rgb, geometry, manifest.mean, manifest.std)
        yield window, geometry, _without_adapters(runner, runner.prefix(image), geometry)


def _without_adapters(runner: GraphRunner, encoded: Any, geometry: ResizeGeometry) -> Embeddings:
    blank = np.zeros((1, 1, *geometry.input_hw), np.float32)
    return runner.suffix(encoded, blank, [0.0])


def _is_cut(mask: np.ndarray, window: Window) -> bool:
    """Whether a mask reaches a side of the window that is not one of the photo."""
    x0, y0, x1, y1 = window
    height, width = mask.shape
    return bool(
        (x0 > 0 and mask[:, : x0 + 2].any())
        or (y0 > 0 and mask[: y0 + 2].any())
        or (x1 < width and mask[:, x1 - 2 :].any())
        or (y1 < height and mask[y1 - 2 :].any())
    )


def _point_batches(window: Window, grid: int) -> Iterator[np.ndarray]:
    """(n, 2) float32 x, y: every second point of the grid first, then those between."""
    x0, y0, x1, y1 = window
    steps = (np.arange(grid) + 0.5) / grid
    order = [(r, c) for r in range(0, grid, 2) for c in range(0, grid, 2)]
    order += [(r, c) for r in range(grid) for c in range(grid) if r % 2 or c % 2]
    places = [(x0 + steps[c] * (x1 - x0), y0 + steps[r] * (y1 - y0)) for r, c in order]
    points = np.array(places, np.float32)
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
