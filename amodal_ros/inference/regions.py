# SPDX-License-Identifier: Apache-2.0
"""Mode `roi`: which square of the image is cut out for each object."""

from __future__ import annotations

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.inference.prompts import ObjectQueries

# Training shows squares of 1.3 to 1.9 times the longer side of the box, shifted by a normal
# distribution whose standard deviation is 0.04 of the square's side (`training/data/config.py`).
# Tracked objects may have some more: what of them is hidden needs the room
# (docs/experiment-log.md, "Region and threshold").
MAX_FACTOR = 2.2
# Of an object whose mask of a moment ago is M_spec: that says how much room the object needs, and
# what fills more of the input is cut out better (docs/experiment-log.md, as above).
TIGHT_FACTOR = 1.35
MAX_SHIFT = 0.08  # of the side: two standard deviations


def object_regions(
    queries: ObjectQueries, roi_factor: float, input_size: int
) -> list[ResizeGeometry]:
    """Chooses the region of each object about its box, with room for its M_spec.

    The square has `roi_factor` times the longer side of the box, about the box's centre. Where an
    object has a prior mask, usually its amodal mask of the frame before, that reaches beyond the
    square, the square moves towards it by up to `MAX_SHIFT` of its side and then grows to up to
    `MAX_FACTOR` times the box, a little farther than training has shown the model such regions,
    and never so that the box leaves it. What of M_spec lies farther out is cut off, and no amodal
    mask can reach there. A tight square of an object with a prior mask begins at `TIGHT_FACTOR`
    times the box, where `roi_factor` is larger.

    Args:
        queries: N objects with boxes, which lie within the image.
        roi_factor: of the manifest.
        input_size: side of the model's input.

    Returns:
        N geometries, squares in whole original pixels; they may reach outside the image.
    """
    if queries.boxes_xyxy is None:
        raise ValueError("object_regions: expected boxes, got none")
    rows = zip(queries.boxes_xyxy, queries.prior_masks, queries.tight.tolist(), strict=True)
    return [
        ResizeGeometry.roi(
            queries.image_hw, _region(box, prior, _factor(roi_factor, prior, tight)), input_size
        )
        for box, prior, tight in rows
    ]


def _factor(roi_factor: float, prior: CroppedMask | None, tight: bool) -> float:
    return min(roi_factor, TIGHT_FACTOR) if tight and prior is not None else roi_factor


def _region(box: np.ndarray, prior: CroppedMask | None, factor: float) -> list[float]:
    """The square (4,) of one object, original pixels; plain numbers are faster here than numpy."""
    corners = np.asarray(box, dtype=np.float64).tolist()
    longer = max(corners[2] - corners[0], corners[3] - corners[1])
    side = factor * longer
    centre = [(corners[axis] + corners[axis + 2]) / 2 for axis in (0, 1)]
    if prior is not None:
        wanted = prior.box_xyxy
        lows = [min(float(wanted[axis]), corners[axis]) for axis in (0, 1)]
        highs = [max(float(wanted[axis]), corners[axis]) for axis in (2, 3)]
        for axis in (0, 1):
            length = corners[axis + 2] - corners[axis]
            centre[axis] += _step(centre[axis], side, length, lows[axis], highs[axis])
        reach = max(max(centre[a] - lows[a], highs[a] - centre[a]) for a in (0, 1))
        side = max(side, min(2 * reach, MAX_FACTOR * longer))
    return [*(one - side / 2 for one in centre), *(one + side / 2 for one in centre)]


def _step(centre: float, side: float, length: float, low: float, high: float) -> float:
    """How far the square moves along one axis, no farther than needed and allowed.

    Args:
        centre: of the square.
        side: of the square.
        length: of the box, which must stay within the square.
        low: from here on should be within it,
        high: to here; between them lies the box.
    """
    beyond_low, beyond_high = centre - side / 2 - low, high - centre - side / 2
    # Beyond both ends: in the middle between them. Beyond one: just so far that it is inside.
    if beyond_low > 0 and beyond_high > 0:
        step = (beyond_high - beyond_low) / 2
    else:
        step = max(beyond_high, 0.0) - max(beyond_low, 0.0)
    room = min(MAX_SHIFT * side, side / 2 - length / 2)
    return min(max(step, -room), room)
