# SPDX-License-Identifier: Apache-2.0
"""Masks as polygons."""

from __future__ import annotations

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask


def outlines(mask: CroppedMask, tolerance_px: float, holes: bool = True) -> list[np.ndarray]:
    """Closed polygons around each part of a mask, and around each hole in it.

    Args:
        mask: of an image.
        tolerance_px: so far a line may be from the centres of the border's pixels.
        holes: whether those around holes are wanted too.

    Returns:
        (P, 2) float64 each, x and y in continuous pixels of the image (a pixel's centre is at a
        half), without the first point again. A part of one pixel is one point.
    """
    if mask.is_empty:
        return []
    crop = mask.crop.view(np.uint8)
    mode = cv2.RETR_CCOMP if holes else cv2.RETR_EXTERNAL
    found, _ = cv2.findContours(crop, mode, cv2.CHAIN_APPROX_NONE)
    corner = np.array(mask.box_xyxy[:2]) + 0.5
    return [cv2.approxPolyDP(one, tolerance_px, True)[:, 0] + corner for one in found]
