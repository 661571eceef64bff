# SPDX-License-Identifier: Apache-2.0
"""Depth images in metres, and which of their pixels belong to an object."""

from __future__ import annotations

import cv2
import numpy as np

from amodal_ros.checks import check_array, check_hw
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_box

# Fewer visible pixels with a depth say nothing of an object.
MIN_POINTS = 10
# A depth belongs to the object if it is this near to the visible part's median: so many standard
# deviations (estimated by the median absolute deviation, 1.4826 for a normal distribution), and
# not less than a sensor's noise and quantisation.
_DEVIATIONS = 3.0 * 1.4826
_LEAST_TOLERANCE_M = 0.01
_LEAST_TOLERANCE_OF_DEPTH = 0.01
_MANY = 0.08  # of the visible pixels
_M_PER_MM = np.float32(0.001)


def depth_in_metres(depth: np.ndarray) -> np.ndarray:
    """Depth as (H, W) float32 metres, NaN where unknown.

    Args:
        depth: (H, W) uint16 in millimetres with 0 for unknown, or float32 in metres where what is
            not finite or not above 0 is unknown.

    Raises:
        InvalidInputError: for another shape or type.
    """
    if depth.ndim != 2 or depth.dtype.type not in (np.uint16, np.float32):
        raise InvalidInputError(
            f"depth: expected (H, W) uint16 (mm) or float32 (m), got {depth.shape} {depth.dtype}"
        )
    metres = depth.astype(np.float32)
    if depth.dtype.type is np.uint16:
        metres *= _M_PER_MM
    metres[~((metres > 0) & np.isfinite(metres))] = np.nan
    return metres


def visible_depths(
    depth_m: np.ndarray, visible_mask: np.ndarray, reach: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of the visible part whose depth is the object's.

    At an object's border depth images mix it with what lies behind or before, and masks are not
    exact. Depths far from the median, by the median absolute deviation, are left out, unless the
    surface runs on to them without a step, as that of a long object that leads away from the
    camera, or they are many and within the object's reach, as a bowl's inside behind its rim.

    Args:
        depth_m: (H, W) float32, as of `depth_in_metres`.
        visible_mask: (H, W) bool.
        reach: how deep an object may be, as a share of its distance; its size in radians, say.

    Returns:
        Columns and rows, (M,) int64, and depths (M,) float32 in metres.

    Raises:
        InvalidInputError: when the sizes differ.
    """
    check_pair(depth_m, visible_mask)
    x0, y0, x1, y1 = mask_box(visible_mask)
    crop = depth_m[y0:y1, x0:x1]
    rows, columns = np.nonzero(visible_mask[y0:y1, x0:x1] & ~np.isnan(crop))
    depths = crop[rows, columns]
    if len(depths):
        median = np.median(depths)
        distance = np.abs(depths - median)
        least = _LEAST_TOLERANCE_M + _LEAST_TOLERANCE_OF_DEPTH * median
        near = distance <= max(_DEVIATIONS * float(np.median(distance)), float(least))
        if not near.all():
            near |= _runs_on(crop, rows, columns, near, float(least), distance <= reach * median)
        rows, columns, depths = rows[near], columns[near], depths[near]
    return columns + x0, rows + y0, depths


def _runs_on(
    crop: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    near: np.ndarray,
    step_m: float,
    reached: np.ndarray,
) -> np.ndarray:
    """(M,) bool: pixels of a surface without steps of which most are `near`, or many `reached`.

    Args:
        crop: (h, w) float32 depth, NaN where unknown.
        rows: (M,) of the pixels looked at.
        columns: (M,) theirs.
        near: (M,) bool.
        step_m: between neighbours, more of which is a step.
        reached: (M,) bool.
    """
    own = np.zeros(crop.shape, np.uint8)
    own[rows, columns] = 1
    known = np.where(own > 0, crop, np.float32(0))
    square = np.ones((3, 3), np.uint8)
    lowest = cv2.erode(np.where(own > 0, crop, np.float32(np.inf)), square)
    even = (own > 0) & (cv2.dilate(known, square) - lowest <= step_m)
    _, labels = cv2.connectedComponents(even.astype(np.uint8), connectivity=4)
    of_pixels = labels[rows, columns]
    sizes = np.bincount(of_pixels)
    belongs = np.bincount(of_pixels, weights=near) > 0.5 * sizes
    within = np.bincount(of_pixels, weights=reached) > 0.5 * sizes
    belongs |= within & (sizes > _MANY * len(rows))
    belongs[0] = False  # on a step
    return np.asarray(belongs[of_pixels], bool)


def check_pair(depth_m: np.ndarray, mask: np.ndarray) -> None:
    """Checks that depth and mask have one size.

    Raises:
        InvalidInputError: when they do not.
    """
    hw = check_hw("depth_m.shape", depth_m.shape)
    check_array("depth_m", depth_m, np.float32, hw)
    check_array("mask", mask, np.bool_, hw)
