# SPDX-License-Identifier: Apache-2.0
"""Depth of one camera as another camera would see it: for RGB-D cameras that do not align it."""

from __future__ import annotations

import math

import numpy as np

from amodal_ros.checks import check_array
from amodal_ros.depth.camera import PinholeCamera, RigidTransform

_LARGEST_FOOTPRINT_PX = 8
_NEAREST_M = 0.01


def register_depth(
    depth_m: np.ndarray,
    depth_camera: PinholeCamera,
    image_camera: PinholeCamera,
    image_from_depth: RigidTransform,
    image_hw: tuple[int, int],
) -> np.ndarray:
    """Move a depth image into the image camera's pixels.

    Each depth pixel becomes a point and falls on the pixels of the image that it covers; where
    several fall, the nearest counts. What the image sees and the depth camera does not is unknown.

    Args:
        depth_m: (h, w) float32 in metres, NaN where unknown.
        depth_camera: its intrinsics.
        image_camera: those of the image.
        image_from_depth: from the depth camera's frame to the image's.
        image_hw: height and width of the image.

    Returns:
        (H, W) float32 in metres, NaN where unknown.

    Raises:
        InvalidInputError: if `depth_m` has another shape or type.
    """
    check_array("depth_m", depth_m, np.float32, (None, None))
    rows, columns = np.nonzero(np.isfinite(depth_m))
    points = depth_camera.back_project(columns, rows, depth_m[rows, columns])
    points = image_from_depth.apply(points)
    points = points[points[:, 2] > _NEAREST_M]
    u, v = image_camera.project(points)
    order = np.argsort(-points[:, 2], kind="stable")  # the nearest is written last
    u, v, depths = u[order], v[order], points[order, 2]
    registered = np.full(image_hw, np.nan, np.float32)
    # A depth pixel is as large in the image as their focal lengths differ.
    size = math.ceil(image_camera.focal_px / depth_camera.focal_px - 0.01)
    size = min(max(size, 1), _LARGEST_FOOTPRINT_PX)
    left = np.rint(u - (size - 1) / 2).astype(np.int64)
    upper = np.rint(v - (size - 1) / 2).astype(np.int64)
    nearest = np.full(image_hw[0] * image_hw[1], np.nan, np.float32)
    for down in range(size):
        for right in range(size):
            x, y = left + right, upper + down
            inside = (x >= 0) & (x < image_hw[1]) & (y >= 0) & (y < image_hw[0])
            nearest[:] = np.nan
            nearest[y[inside] * image_hw[1] + x[inside]] = depths[inside]
            registered = np.fmin(registered, nearest.reshape(image_hw))
    return registered
