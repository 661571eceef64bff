# SPDX-License-Identifier: Apache-2.0
"""The unseen back of an object over a plane: what is seen, mirrored at the object's middle.

Seen from above, objects are taken for centrally symmetric: of a curve of that kind the outermost
points to the left and to the right lie opposite each other, so its middle is known from the front
alone. It holds for boxes, cans, plates and balls, and fails for what has a handle or a spout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
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


_LEAST_BINS = 6
_LEAST_SPAN = 0.6  # of the width that the front must be seen over
_BEFORE_M = 0.01  # what is so much before a measured surface would be seen
_MIDDLES = 6
_AS_MANY = 0.95
# Half of an object's depth in widths: at most, and where its front does not tell: as deep as wide.
_DEEPEST, _USUAL = 1.0, 0.5


@dataclass(frozen=True, eq=False)
class View:
    """What points of the unseen back are compared with.

    Attributes:
        depth_m: (H, W) float32 metres, NaN where unknown.
        visible_mask: (H, W) bool.
        amodal_mask: (H, W) bool.
        camera: intrinsics of all three.
    """

    depth_m: np.ndarray
    visible_mask: np.ndarray
    amodal_mask: np.ndarray
    camera: PinholeCamera

    def may_hold(self, back: np.ndarray) -> np.ndarray:
        """(L,) bool of points (L, 3): within the amodal outline, not before what is seen."""
        u, v = self.camera.project(back)
        columns, rows = np.rint(u).astype(int), np.rint(v).astype(int)
        height, width = self.depth_m.shape
        possible = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        columns, rows = columns * possible, rows * possible
        nearest = self.depth_m[rows, columns] - _BEFORE_M
        before = self.visible_mask[rows, columns] & (back[:, 2] < nearest)
        return np.asarray(possible & self.amodal_mask[rows, columns] & ~before, bool)


def mirrored(
    body: np.ndarray, hidden: np.ndarray, plane: SupportPlane, there: RigidTransform, view: View
) -> np.ndarray:
    """What is seen through the middle, where it may be.

    Of the middles from the nearest possible to the farthest, the farthest counts through which as
    many points still fall into the outline.

    Args:
        body: (M, 3) float64, what is seen, in the plane's frame.
        hidden: (K, 3) float64, the hidden part, in that frame.
        plane: that the object is over.
        there: from that frame to the camera's.
        view: what the points are compared with.

    Returns:
        (L, 3) float32 in the camera's frame.
    """
    middle, farthest = _middles(body, hidden, plane)
    best, most = np.zeros((0, 3), np.float32), 0
    for away in np.linspace(middle[1], max(farthest, middle[1]), _MIDDLES):
        through = 2 * np.array([middle[0], away]) - body[:, :2]
        back = there.apply(np.column_stack([through, body[:, 2]])).astype(np.float32)
        back = back[view.may_hold(back)]
        if len(back) < _AS_MANY * most:
            break
        best, most = back, max(most, len(back))
    return best


def _middles(
    body: np.ndarray, hidden: np.ndarray, plane: SupportPlane
) -> tuple[np.ndarray, float]:
    """The object's middle from above: (2,) lateral and away, if it ends with what is seen.

    And how far away it is, if its front goes on behind.
    """
    everything = np.concatenate([body, hidden])
    low, high = np.percentile(everything[:, :2], OUTER, axis=0)
    middle = (low + high) / 2
    farthest = float(middle[1])
    if not plane.is_steep(body):
        width = float(high[0] - low[0])
        fitted = _front_middle(body, hidden, float(low[0]), float(high[0]))
        if fitted is None:
            fitted = float(low[1]) + _USUAL * width
        farthest = min(fitted, float(low[1]) + _DEEPEST * width)
    return middle, farthest


def _front_middle(body: np.ndarray, hidden: np.ndarray, left: float, right: float) -> float | None:
    """How far away the middle is, by an ellipse through the front; None: too little is seen.

    Over x, the lateral place from -1 to 1, an ellipse's front is
    away = middle + slope x - depth sqrt(1 - x^2), linear in the three unknowns.
    """
    width = right - left
    if width <= 0:
        return None
    bins = np.floor((body[:, 0] - left) / width * BINS).astype(int)
    covered = np.floor((hidden[:, 0] - left) / width * BINS).astype(int)
    places, fronts = [], []
    for number in range(BINS):
        inside = bins == number
        count = np.count_nonzero(inside)
        if count >= 3 and np.count_nonzero(covered == number) < 0.5 * count:
            places.append((number + 0.5) / BINS * 2 - 1)
            fronts.append(np.percentile(body[inside, 1], 5))
    if len(places) < _LEAST_BINS or places[-1] - places[0] < 2 * _LEAST_SPAN:
        return None
    x = np.array(places)
    columns = np.column_stack([np.ones(len(x)), x, -np.sqrt(1 - x**2)])
    middle, _, depth = np.linalg.lstsq(columns, np.array(fronts), rcond=None)[0]
    return float(middle) if depth > 0 else None
