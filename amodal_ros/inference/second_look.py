# SPDX-License-Identifier: Apache-2.0
"""Mode `roi`: an object whose completed mask reaches the border of its region is looked at again.

The region is chosen by what is seen of an object. Of one that is mostly hidden the rest lies
outside, and no mask can reach there. What was completed so far tells in which direction: the
second region is wider on that side, and M_spec is the mask of the first look. The first look was
the nearer one, so the visible mask is that of the first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.types import AmodalPrediction

_WIDER = 1.25  # side of the second region over that of the first
_RIM = 0.01  # of the region's side: a mask that comes so near to the border reaches it


def cut_off(prediction: AmodalPrediction) -> np.ndarray:
    """Rows (K,) of the objects whose mask reaches a border of their region within the image."""
    if prediction.features is None:
        return np.zeros(0, np.intp)
    pairs = zip(prediction.raw_amodal, prediction.features.geometries, strict=True)
    return np.flatnonzero([bool(_reached(mask, place).any()) for mask, place in pairs])


def wider_regions(
    prediction: AmodalPrediction, rows: np.ndarray, input_size: int
) -> list[ResizeGeometry]:
    """The second region of some objects.

    Args:
        prediction: of the first look, with its regions.
        rows: (K,) of the objects.
        input_size: side of the model's input.

    Returns:
        K squares that hold the first ones, and are wider towards the borders that were reached.
    """
    if prediction.features is None:
        raise ValueError("wider_regions: expected the regions of the first look, got none")
    regions = prediction.features.geometries
    return [_wider(prediction.raw_amodal[row], regions[row], input_size) for row in rows.tolist()]


def joined(
    first: AmodalPrediction, rows: np.ndarray, second: AmodalPrediction
) -> AmodalPrediction:
    """The first look's answer with the second's amodal masks in some rows (K,)."""
    masks, iou = list(first.raw_amodal), first.predicted_iou.copy()
    for row, mask in zip(rows.tolist(), second.raw_amodal, strict=True):
        masks[row] = mask
    iou[rows] = second.predicted_iou
    return replace(first, raw_amodal=tuple(masks), predicted_iou=iou, second_looks=len(rows))


def _reached(mask: CroppedMask, region: ResizeGeometry) -> np.ndarray:
    """Which borders (left, top, right, bottom) of a region a mask reaches: (4,) bool.

    A border outside the image hides nothing.
    """
    if mask.is_empty:
        return np.zeros(4, bool)
    x0, y0, x1, y1 = region.source_xyxy
    height, width = region.original_hw
    rim = max(1, round(_RIM * (x1 - x0)))
    left, top, right, bottom = mask.box_xyxy
    return np.array(
        [
            x0 > 0 and left <= x0 + rim,
            y0 > 0 and top <= y0 + rim,
            x1 < width and right >= x1 - rim,
            y1 < height and bottom >= y1 - rim,
        ]
    )


def _wider(mask: CroppedMask, region: ResizeGeometry, input_size: int) -> ResizeGeometry:
    reached = _reached(mask, region).astype(np.float64).reshape(2, 2)
    corners = np.array(region.source_xyxy, np.float64).reshape(2, 2)
    more = (_WIDER - 1) * (corners[1, 0] - corners[0, 0])
    # Along each axis all of it on the side that was reached, else half of it on either.
    share = np.where(reached.sum(axis=0) == 1, reached, 0.5)
    box = np.concatenate([corners[0] - share[0] * more, corners[1] + share[1] * more])
    return ResizeGeometry.roi(region.original_hw, box, input_size)
