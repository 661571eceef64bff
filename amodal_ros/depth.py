# SPDX-License-Identifier: Apache-2.0
"""From masks and an aligned depth image to 3D: points of the visible part, extent of the whole.

Frame: the camera's optical frame, x right, y down, z forward, metres. Pixel (u, v) is column and
row with its centre at whole numbers, as in ``sensor_msgs/CameraInfo``; images are undistorted.

What is measured and what is estimated:

- Points of the visible part are measured: depth of each pixel, without the outliers at the mask's
  border (`visible_depths`).
- The box's width and height are those of the amodal mask's box, back-projected at the median depth
  of the visible part. They are exact for an object whose silhouette lies at that depth, and off
  by d/z where it lies d in front of it or behind.
- The box's length along z is that of the visible surface, outliers excluded. The object's unseen
  back is not estimated: no camera sees it.
- Points of the occluded part are estimated: its pixels at the median depth of the visible part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
# The surface's nearest and farthest depth are taken at these percentiles.
_EXTENT_PERCENTILES = (2.0, 98.0)
_M_PER_MM = np.float32(0.001)


@dataclass(frozen=True)
class PinholeCamera:
    """Intrinsics of undistorted images: u = fx x / z + cx, v = fy y / z + cy, in pixels."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            InvalidInputError: for a focal length that is not above 0, or anything not finite.
        """
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(map(math.isfinite, values)) or self.fx <= 0 or self.fy <= 0:
            raise InvalidInputError(
                f"camera: expected finite fx, fy > 0 and cx, cy in pixels, got {values}"
            )

    def back_project(self, u: np.ndarray, v: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Points (M, 3) float32 of pixels u, v (M,) at depths z (M,) in metres."""
        points = np.empty((len(z), 3), np.float32)
        points[:, 0] = (u - self.cx) / self.fx * z
        points[:, 1] = (v - self.cy) / self.fy * z
        points[:, 2] = z
        return points


@dataclass(frozen=True, eq=False)
class AmodalExtent:
    """The box of a whole object, its sides along the axes of the camera's optical frame.

    Attributes:
        centre_xyz: (3,) float64, metres.
        size_xyz: (3,) float64, metres; z is the visible surface's (see the module).
        median_depth_m: of the visible part.
    """

    centre_xyz: np.ndarray
    size_xyz: np.ndarray
    median_depth_m: float


@dataclass(frozen=True, eq=False)
class ObjectCloud:
    """Points of one object.

    Attributes:
        points_xyz: (M, 3) float32, metres.
        occluded: (M,) bool: False: measured, visible; True: estimated, occluded.
    """

    points_xyz: np.ndarray
    occluded: np.ndarray


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
    depth_m: np.ndarray, visible_mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of the visible part whose depth is the object's.

    At an object's border depth images mix it with what lies behind or before, and masks are not
    exact. Depths far from the median are left out, by the median absolute deviation.

    Args:
        depth_m: (H, W) float32, as of `depth_in_metres`.
        visible_mask: (H, W) bool.

    Returns:
        Columns and rows, (M,) int64, and depths (M,) float32 in metres.

    Raises:
        InvalidInputError: when the sizes differ.
    """
    _check_pair(depth_m, visible_mask)
    x0, y0, x1, y1 = mask_box(visible_mask)
    crop = depth_m[y0:y1, x0:x1]
    rows, columns = np.nonzero(visible_mask[y0:y1, x0:x1] & ~np.isnan(crop))
    depths = crop[rows, columns]
    if len(depths):
        median = np.median(depths)
        distance = np.abs(depths - median)
        least = _LEAST_TOLERANCE_M + _LEAST_TOLERANCE_OF_DEPTH * median
        near = distance <= max(_DEVIATIONS * float(np.median(distance)), float(least))
        rows, columns, depths = rows[near], columns[near], depths[near]
    return columns + x0, rows + y0, depths


def amodal_extent(
    depth_m: np.ndarray,
    visible_mask: np.ndarray,
    amodal_box_xyxy: tuple[int, int, int, int],
    camera: PinholeCamera,
) -> AmodalExtent | None:
    """The 3D box of a whole object; see the module for what of it is estimated, and how.

    Args:
        depth_m: (H, W) float32, as of `depth_in_metres`.
        visible_mask: (H, W) bool.
        amodal_box_xyxy: half-open box of the amodal mask in whole pixels.
        camera: intrinsics of both.

    Returns:
        None when fewer than `MIN_POINTS` visible pixels have a depth.

    Raises:
        InvalidInputError: when the sizes differ.
    """
    _, _, depths = visible_depths(depth_m, visible_mask)
    if len(depths) < MIN_POINTS:
        return None
    near, far = np.percentile(depths, _EXTENT_PERCENTILES)
    median = float(np.median(depths))
    x0, y0, x1, y1 = amodal_box_xyxy
    # Outer edges of the pixels, whose centres are whole numbers.
    edges = camera.back_project(
        np.array([x0 - 0.5, x1 - 0.5]), np.array([y0 - 0.5, y1 - 0.5]), np.full(2, median)
    ).astype(np.float64)
    edges[:, 2] = near, far
    return AmodalExtent(edges.mean(axis=0), edges[1] - edges[0], median)


def object_cloud(
    depth_m: np.ndarray,
    visible_mask: np.ndarray,
    amodal_mask: np.ndarray,
    camera: PinholeCamera,
    stride: int = 1,
) -> ObjectCloud:
    """Measured points of the visible part, and estimated ones of the occluded part.

    Args:
        depth_m: (H, W) float32, as of `depth_in_metres`.
        visible_mask: (H, W) bool.
        amodal_mask: (H, W) bool.
        camera: intrinsics of all three.
        stride: every so many pixels of a row and of a column; 1: all.

    Returns:
        No point when fewer than `MIN_POINTS` visible pixels have a depth.

    Raises:
        InvalidInputError: when the sizes differ or `stride` is below 1.
    """
    if stride < 1:
        raise InvalidInputError(f"stride: expected at least 1, got {stride}")
    _check_pair(depth_m, amodal_mask)
    columns, rows, depths = visible_depths(depth_m, visible_mask)
    if len(depths) < MIN_POINTS:
        return ObjectCloud(np.zeros((0, 3), np.float32), np.zeros(0, bool))
    median = np.median(depths)
    taken = (columns % stride == 0) & (rows % stride == 0)
    measured = camera.back_project(columns[taken], rows[taken], depths[taken])
    x0, y0, x1, y1 = mask_box(amodal_mask)
    x0, y0 = -(-x0 // stride) * stride, -(-y0 // stride) * stride
    window = slice(y0, y1, stride), slice(x0, x1, stride)
    hidden_rows, hidden_columns = np.nonzero(amodal_mask[window] & ~visible_mask[window])
    estimated = camera.back_project(
        hidden_columns * stride + x0,
        hidden_rows * stride + y0,
        np.full(len(hidden_rows), median, np.float32),
    )
    occluded = np.arange(len(measured) + len(estimated)) >= len(measured)
    return ObjectCloud(np.concatenate([measured, estimated]), occluded)


def _check_pair(depth_m: np.ndarray, mask: np.ndarray) -> None:
    hw = check_hw("depth_m.shape", depth_m.shape)
    check_array("depth_m", depth_m, np.float32, hw)
    check_array("mask", mask, np.bool_, hw)
