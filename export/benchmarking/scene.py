# SPDX-License-Identifier: Apache-2.0
"""The frame of the benchmark: N objects on a textured ground, the same for every run."""

from __future__ import annotations

import cv2
import numpy as np

HW = (720, 1280)
LONGER_SIDES = (60, 320)  # pixels, of the objects' boxes
ASPECT_RATIOS = (0.5, 2.0)


def draw_scene(objects: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws ellipses in random boxes.

    Returns:
        The image (720, 1280, 3) uint8 and the boxes (N, 4) float32, all inside it.
    """
    rng = np.random.default_rng(seed)
    height, width = HW
    coarse = rng.integers(60, 200, (height // 16, width // 16, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    longer = _log_uniform(rng, LONGER_SIDES, objects)
    ratio = _log_uniform(rng, ASPECT_RATIOS, objects)
    sizes = np.stack([np.minimum(ratio, 1.0), np.minimum(1.0 / ratio, 1.0)], axis=1)
    sizes *= longer[:, None]
    corners = rng.uniform(0, 1, (objects, 2)) * (np.array([width, height]) - sizes)
    boxes = np.concatenate([corners, corners + sizes], axis=1).astype(np.float32)
    for x0, y0, x1, y1 in boxes.tolist():
        centre, axes = (int((x0 + x1) / 2), int((y0 + y1) / 2)), ((x1 - x0) / 2, (y1 - y0) / 2)
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        cv2.ellipse(image, centre, (int(axes[0]), int(axes[1])), 0, 0, 360, colour, -1)
    return image, boxes


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float], count: int) -> np.ndarray:
    low, high = np.log(limits[0]), np.log(limits[1])
    drawn: np.ndarray = np.exp(rng.uniform(low, high, count))
    return drawn
