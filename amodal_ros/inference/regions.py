# SPDX-License-Identifier: Apache-2.0
"""Mode `roi`: which square of the image is cut out for each object."""

from __future__ import annotations

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.inference.prompts import ObjectQueries

# Training shows squares of 1.3 to 1.9 times the longer side of the box, shifted by a normal
# distribution whose standard deviation is 0.04 of the square's side (`training/data/config.py`).
# Tracked objects may have some more: what of them is hidden needs the room (docs/evaluation.md).
MAX_FACTOR = 2.2
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
    mask can reach there.

    Args:
        queries: N objects with boxes, which lie within the image.
        roi_factor: of the manifest.
        input_size: side of the model's input.

    Returns:
        N geometries, squares in whole original pixels; they may reach outside the image.
    """
    if queries.boxes_xyxy is None:
        raise ValueError("object_regions: expected boxes, got none")
    return [
        ResizeGeometry.roi(queries.image_hw, _region(box, prior, roi_factor), input_size)
        for box, prior in zip(queries.boxes_xyxy, queries.prior_masks, strict=True)
    ]


def _region(box: np.ndarray, prior: CroppedMask | None, factor: float) -> np.ndarray:
    """The square (4,) float64 of one object, original pixels."""
    corners = np.asarray(box, dtype=np.float64).reshape(2, 2)
    longer = float((corners[1] - corners[0]).max())
    centre, side = corners.mean(axis=0), factor * longer
    if prior is not None:
        wanted = np.array(prior.box_xyxy, dtype=np.float64).reshape(2, 2)
        wanted = np.stack([np.minimum(wanted[0], corners[0]), np.maximum(wanted[1], corners[1])])
        centre = _moved(centre, side, corners, wanted)
        reach = np.maximum(centre - wanted[0], wanted[1] - centre).max()
        side = max(side, min(2 * float(reach), MAX_FACTOR * longer))
    return np.concatenate([centre - side / 2, centre + side / 2])


def _moved(centre: np.ndarray, side: float, box: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The centre (2,) moved, on each axis no farther than needed and allowed, towards `wanted`.

    Args:
        centre: of the square.
        side: of the square.
        box: corners (2, 2) that must stay within the square.
        wanted: corners (2, 2) that should be within it; they contain the box.
    """
    half = side / 2
    beyond_low, beyond_high = centre - half - wanted[0], wanted[1] - centre - half
    # Beyond both ends: in the middle between them. Beyond one: just so far that it is inside.
    step = np.where(
        (beyond_low > 0) & (beyond_high > 0),
        (beyond_high - beyond_low) / 2,
        np.maximum(beyond_high, 0) - np.maximum(beyond_low, 0),
    )
    room = np.minimum(MAX_SHIFT * side, half - (box[1] - box[0]) / 2)
    moved: np.ndarray = centre + np.clip(step, -room, room)
    return moved
