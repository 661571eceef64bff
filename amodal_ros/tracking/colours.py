# SPDX-License-Identifier: Apache-2.0
"""Which colours an object has: a histogram of Lab's two colour axes, without brightness.

Shadow changes these little, and a thing that comes over another one seldom has its colours.
"""

from __future__ import annotations

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.scene import SceneView

_BINS = 16  # of each of Lab's two colour axes
_FEWEST_PIXELS = 8  # of the thumbnail
_BLUR = (5, 5), 1.0  # of the histogram, in bins: colours that are nearly the same share bins


def colours_of(scene: SceneView, mask: CroppedMask) -> np.ndarray | None:
    """Colours under a mask.

    Args:
        scene: of the frame.
        mask: of the original image.

    Returns:
        (256,) float32 with sum 1; None where the mask covers hardly a pixel of the thumbnail.
    """
    scale = scene.scale_xy
    height, width = scene.rgb.shape[:2]
    corners = np.array(mask.box_xyxy, np.float64).reshape(2, 2)
    (x0, y0), (x1, y1) = np.round(corners / scale).astype(int).clip(0, (width, height)).tolist()
    if x0 >= x1 or y0 >= y1:
        return None
    left, top = mask.box_xyxy[:2]
    x = ((np.arange(x0, x1) + 0.5) * scale[0] - left).astype(int).clip(0, mask.crop.shape[1] - 1)
    y = ((np.arange(y0, y1) + 0.5) * scale[1] - top).astype(int).clip(0, mask.crop.shape[0] - 1)
    under = mask.crop[np.ix_(y, x)].view(np.uint8)
    if cv2.countNonZero(under) < _FEWEST_PIXELS:
        return None
    lab = cv2.cvtColor(np.ascontiguousarray(scene.rgb[y0:y1, x0:x1]), cv2.COLOR_RGB2LAB)
    counts = cv2.calcHist([lab], [1, 2], under, [_BINS, _BINS], [0, 256, 0, 256])
    blurred = cv2.GaussianBlur(counts, *_BLUR, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred / blurred.sum(), np.float32).ravel()


def shared_colours(one: np.ndarray | None, other: np.ndarray | None) -> float:
    """Intersection of two histograms, 0 to 1; 1 where one is not known."""
    if one is None or other is None:
        return 1.0
    return float(np.minimum(one, other).sum())
