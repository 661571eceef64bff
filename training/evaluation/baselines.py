# SPDX-License-Identifier: Apache-2.0
"""Predictions that need no amodal model: what every table must be compared with."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.image.masks import mask_box

BOX_FILL = "box fill"
TRUE_VISIBLE = "true visible mask"
VISIBLE_HULL = "convex hull of the true visible mask"
PREDICTED_VISIBLE = "predicted visible mask"


def geometric_baselines(visible_mask: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Box fill, the visible mask itself, and its convex hull, by name.

    Args:
        visible_mask: (H, W) bool, the true one; empty gives empty predictions.
    """
    return {
        BOX_FILL: fill_box(visible_mask),
        TRUE_VISIBLE: visible_mask,
        VISIBLE_HULL: convex_hull(visible_mask),
    }


def fill_box(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The tight box of a mask (H, W) bool, filled."""
    x0, y0, x1, y1 = mask_box(mask)
    filled = np.zeros_like(mask)
    filled[y0:y1, x0:x1] = True
    return filled


def convex_hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The convex hull of a mask's pixel centres, (H, W) bool; contains the mask."""
    points = cv2.findNonZero(mask.astype(np.uint8))
    if points is None:
        return np.zeros_like(mask)
    hull = np.zeros(mask.shape, dtype=np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return (hull > 0) | mask
