# SPDX-License-Identifier: Apache-2.0
"""Drawn masks whose order is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.graph import OcclusionGraph, occlusion_graph

HW = 40, 60


def block(x0: int, x1: int, y0: int = 5, y1: int = 35, hw: tuple[int, int] = HW) -> np.ndarray:
    """A filled rectangle (H, W) bool."""
    mask = np.zeros(hw, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def blob(rng: np.random.Generator, hw: tuple[int, int]) -> np.ndarray:
    """A rectangle with holes, anywhere in the image: (H, W) bool, not empty."""
    (y0, x0), (height, width) = rng.integers(0, np.array(hw) // 2), rng.integers(6, 20, 2)
    mask = block(x0, x0 + width, y0, y0 + height, hw)
    mask &= rng.random(hw) < 0.9
    mask[y0, x0] = True
    return mask


def graph_of(
    *objects: tuple[np.ndarray, np.ndarray],
    depth_m: np.ndarray | None = None,
    upright: bool = True,
) -> OcclusionGraph:
    """Of visible and amodal masks (H, W)."""
    return occlusion_graph(
        _cropped([o[0] for o in objects]), _cropped([o[1] for o in objects]), depth_m, upright
    )


def _cropped(masks: Sequence[np.ndarray]) -> list[CroppedMask]:
    return [CroppedMask.of(mask) for mask in masks]
