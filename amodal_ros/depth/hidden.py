# SPDX-License-Identifier: Apache-2.0
"""The hidden part of an object over a plane: how far its pixels' rays reach."""

from __future__ import annotations

import numpy as np

from amodal_ros.depth.plane import SupportPlane

OUTER = (1.0, 99.0)  # percentiles: outlines are off by a pixel or two
BINS = 16  # of directions, or of places from left to right


def end_rays(body: np.ndarray, rays: np.ndarray, plane: SupportPlane) -> np.ndarray:
    """Where the rays of hidden pixels end.

    A box is entered where a ray has passed its last entering side: front or top.

    Args:
        body: (M, 3) float64, what is seen, in the plane's frame.
        rays: (K, 3) float64, directions in that frame, of depth 1 in the camera's.
        plane: that the object is over.

    Returns:
        (K, 3) float64 in that frame, on the plane or above it.
    """
    if not len(rays):
        return np.zeros((0, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        to_plane = np.where(rays[:, 2] < 0, -plane.camera_height / rays[:, 2], np.inf)
        top = np.percentile(body[:, 2], OUTER[1])
        to_top = np.where(rays[:, 2] < 0, (top - plane.camera_height) / rays[:, 2], 0.0)
        if plane.is_steep(body):
            ends = to_top
        else:
            front = _front(body, rays, to_plane)
            width = np.ptp(np.percentile(body[:, 0], OUTER))
            rear = max(np.percentile(body[:, 1], OUTER[1]), front.min() + width)
            entered = np.minimum(np.maximum(to_top, front / rays[:, 1]), rear / rays[:, 1])
            # A ray to the other side of the point below the camera meets the top alone.
            ends = np.where(rays[:, 1] > 0, entered, to_top)
    ends = np.minimum(np.maximum(ends, 0.0), to_plane)
    points: np.ndarray = ends[:, None] * rays + (0.0, 0.0, plane.camera_height)
    return points


def _front(body: np.ndarray, rays: np.ndarray, to_plane: np.ndarray) -> np.ndarray:
    """(K,) how far away the object's front is where the rays of hidden pixels point.

    That of what is seen in the same direction, above or below what hides it, or beside; nearer
    where the lowest hidden pixel's ray meets the plane before that: there the object stands.
    """
    bearings, towards = body[:, 0] / body[:, 1], rays[:, 0] / rays[:, 1]
    low = min(bearings.min(), towards.min())
    step = max(max(bearings.max(), towards.max()) - low, 1e-6) / BINS
    bins = np.minimum((bearings - low) / step, BINS - 1).astype(int)
    of_rays = np.minimum((towards - low) / step, BINS - 1).astype(int)
    seen = [k for k in range(BINS) if np.count_nonzero(bins == k) >= 3]
    fronts = [np.percentile(body[bins == k, 1], 5) for k in seen]
    near, far = np.percentile(body[:, 1], OUTER)
    if not seen:
        seen, fronts = [0], [near]
    front = np.interp(np.arange(BINS), seen, fronts)
    nearest = near - (far - near) - np.ptp(body[:, 0])
    for k in np.unique(of_rays):
        inside = of_rays == k
        stands = np.min(to_plane[inside] * rays[inside, 1])
        front[k] = min(front[k], max(stands, nearest))
    return np.asarray(front[of_rays])
