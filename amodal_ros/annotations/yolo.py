# SPDX-License-Identifier: Apache-2.0
"""Masks as YOLO's segmentation labels: a line for each object, its class and one polygon.

The format knows neither holes nor parts. Holes are filled, and parts are joined by bridges without
width, from the nearest point of one to that of the other and back.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from amodal_ros.image.cropped import CroppedMask, outlines

_TOLERANCE_PX = 1.0


def yolo_line(class_number: int, mask: CroppedMask) -> str | None:
    """The label of an object; None for a mask without an area, which YOLO cannot say.

    Args:
        class_number: counts from 0.
        mask: of the object.
    """
    parts = [part for part in outlines(mask, _TOLERANCE_PX, holes=False) if len(part) > 2]
    if not parts:
        return None
    polygon = joined(sorted(parts, key=len, reverse=True)) / mask.image_hw[::-1]
    return " ".join([str(class_number), *(f"{value:.6f}" for value in polygon.ravel())])


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """One closed polygon (P, 2) through the points of all parts (P, 2) each."""
    whole, *others = parts
    for part in others:
        distances = cdist(whole, part)
        here, there = np.unravel_index(int(distances.argmin()), distances.shape)
        around = np.roll(part, -int(there), axis=0)
        bridge = np.concatenate([around, around[:1], whole[here : here + 1]])
        whole = np.insert(whole, int(here) + 1, bridge, axis=0)
    return whole
