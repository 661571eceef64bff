# SPDX-License-Identifier: Apache-2.0
"""Where the cells lie that are like an object: it reaches over those, or may be there instead."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask, common_box
from amodal_ros.image.masks import mask_box
from amodal_ros.tracking.appearance import Likeness
from amodal_ros.tracking.surroundings import Surroundings

_UNDER = 0.5  # of a cell, which lies under a mask
_RIM = 0.1  # of a cell, of which more shows another object, too: rims are joined all around it


def reach_of(
    likeness: Likeness, mask: CroppedMask, others: Sequence[CroppedMask] = ()
) -> np.ndarray:
    """Box (4,) float64 of the cells like an object, joined to those under a mask.

    Args:
        likeness: of a frame to the object.
        mask: what is visible of it.
        others: what is visible of other objects; their cells are not this one's.

    Returns:
        Original pixels; zeros where no cell under the mask is like the object.
    """
    around = likeness.surroundings
    like = ((likeness.margin > 0) & _free(around, others)).astype(np.uint8)
    _, parts = cv2.connectedComponents(like, connectivity=4)
    under = np.unique(parts[(around.cover(mask) > _UNDER) & (like > 0)])
    x0, y0, x1, y1 = mask_box(np.isin(parts, under) & (like > 0))
    return _box_of(around, x0, y0, x1, y1) if x1 else np.zeros(4)


def places_of(likeness: Likeness, others: Sequence[CroppedMask] = ()) -> list[np.ndarray]:
    """Boxes (4,) float64 where an object may be, likeliest first: joined cells like it.

    Args:
        likeness: of a frame to the object.
        others: what is visible of other objects; their cells are not this one's.
    """
    around, margin = likeness.surroundings, likeness.strict_margin
    free = (margin > 0) & _free(around, others)
    _, parts, table, _ = cv2.connectedComponentsWithStats(free.astype(np.uint8), connectivity=4)
    found = []
    for part, (left, top, width, height, _) in enumerate(table[1:].tolist(), start=1):
        window = slice(top, top + height), slice(left, left + width)
        mean = float(margin[window][parts[window] == part].mean())
        found.append((mean, _box_of(around, left, top, left + width, top + height)))
    return [box for _, box in sorted(found, key=lambda item: -item[0])]


def _free(around: Surroundings, others: Sequence[CroppedMask]) -> np.ndarray:
    """(h, w) bool: the cells in the image that show none of other objects."""
    x0, y0, x1, y1 = np.round(around.box_xyxy).astype(int).tolist()
    free = around.inside
    for other in others:
        if common_box(other.box_xyxy, (x0, y0, x1, y1)) is not None:
            free = free & (around.cover(other) <= _RIM)
    return free


def _box_of(around: Surroundings, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """(4,) original pixels of a half-open box of cells."""
    cell, corner = around.cell_px, around.box_xyxy[:2]
    return np.concatenate([corner + (left, top) * cell, corner + (right, bottom) * cell])
