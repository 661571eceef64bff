# SPDX-License-Identifier: Apache-2.0
"""Points of a whole object: what is seen, what is hidden, and the unseen back.

- Seen: measured, the depth of each visible pixel (`visible_depths`).
- Hidden: the amodal mask says through which pixels the hidden part would be seen. Where the object
  stands on a plane, a hidden pixel's ray ends at the object's front or at its top, as at a box
  whose front and top are those of what is seen, and never below the plane. Without a plane it ends
  at the median depth of the visible part.
- Rim: visible pixels beside measured ones, without a depth of their own, as at edges: at the
  nearest of those depths.
- Back: no camera sees it. Seen from above, objects are taken for centrally symmetric: of a curve
  of that kind the outermost points to the left and to the right lie opposite each other, so its
  middle is known from the front alone. What is seen is mirrored there. It holds for boxes, cans,
  plates and balls, and fails for what has a handle or a spout. Needs a plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from amodal_ros.depth.pixels import MIN_POINTS, check_pair, visible_depths
from amodal_ros.depth.plane import SupportPlane
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_box

# Steeper views see tops alone: the front says nothing.
_STEEP_COSINE = 0.35
# Points as near to the plane as its noise may be the plane's own, where the object is higher.
_CLEAR_OF_PLANE_M = 0.006
_CLEAR_OF_PLANE_SHARE = 0.3
# An object stands on the plane if its lowest part is so near, or within so much of its height.
_STANDS_M, _STANDS_SHARE = 0.02, 0.35
_OUTER = (1.0, 99.0)  # percentiles: outlines are off by a pixel or two
_BINS = 16
_LEAST_BINS = 6
_LEAST_SPAN = 0.6  # of the width that the front must be seen over
_RIM_PX = 7
_BEFORE_M = 0.01  # what is so much before a measured surface would be seen
_MIDDLES = 6
_AS_MANY = 0.95
# Half of an object's depth in widths: at most, and where its front does not tell: as deep as wide.
_DEEPEST, _USUAL = 1.0, 0.5


@dataclass(frozen=True, eq=False)
class WholeObject:
    """Points of an object in the camera's frame.

    Attributes:
        seen: (M, 3) float32, measured.
        hidden: (K, 3) float32, estimated: the occluded part.
        rim: (R, 3) float32, estimated: what is visible and has no depth of its own.
        back: (L, 3) float32, estimated: the side that faces away from the camera.
        base: (B, 3) float32: `seen` and `hidden` straight down on the plane, of an object that
            stands on it; else empty.
        median_depth_m: of what is seen.
        spacing_m: between neighbouring points at that depth.
        plane: that was made use of.
    """

    seen: np.ndarray
    hidden: np.ndarray
    rim: np.ndarray
    back: np.ndarray
    base: np.ndarray
    median_depth_m: float
    spacing_m: float
    plane: SupportPlane | None

    @property
    def points(self) -> np.ndarray:
        """(N, 3) all of them."""
        return np.concatenate([self.seen, self.hidden, self.rim, self.back, self.base])


def complete_object(
    depth_m: np.ndarray,
    visible_mask: np.ndarray,
    amodal_mask: np.ndarray,
    camera: PinholeCamera,
    plane: SupportPlane | None = None,
    stride: int = 1,
) -> WholeObject | None:
    """The points of a whole object; see the module for what of them is estimated, and how.

    Args:
        depth_m: (H, W) float32, as of `depth_in_metres`.
        visible_mask: (H, W) bool.
        amodal_mask: (H, W) bool.
        camera: intrinsics of all three.
        plane: that the objects stand on; None: not known.
        stride: every so many pixels of a row and of a column; 1: all.

    Returns:
        None when fewer than `MIN_POINTS` visible pixels have a depth.

    Raises:
        InvalidInputError: when the sizes differ or `stride` is below 1.
    """
    if stride < 1:
        raise InvalidInputError(f"stride: expected at least 1, got {stride}")
    check_pair(depth_m, amodal_mask)
    x0, y0, x1, y1 = mask_box(amodal_mask)
    reach = max(x1 - x0, y1 - y0) / camera.focal_px
    columns, rows, depths = visible_depths(depth_m, visible_mask, reach)
    if len(depths) < MIN_POINTS:
        return None
    taken = (columns % stride == 0) & (rows % stride == 0)
    if np.count_nonzero(taken) < MIN_POINTS:
        taken = np.ones(len(depths), bool)
    median = float(np.median(depths))
    seen = camera.back_project(columns[taken], rows[taken], depths[taken])
    spacing = stride * median / camera.focal_px
    hidden = _rays(amodal_mask & ~visible_mask, camera, stride)
    rim = _rim(columns, rows, depths, visible_mask, camera, stride)
    if plane is None:
        nothing, at = np.zeros((0, 3), np.float32), np.float32(median)
        return WholeObject(seen, hidden * at, rim, nothing, nothing, median, spacing, None)
    view = _View(depth_m, visible_mask, amodal_mask, camera)
    hidden, back, base = _on_plane(seen, hidden, rim, plane, view)
    return WholeObject(seen, hidden, rim, back, base, median, spacing, plane)


@dataclass(frozen=True, eq=False)
class _View:
    """What points of the unseen back are compared with; fields as of `complete_object`."""

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


def _rays(mask: np.ndarray, camera: PinholeCamera, stride: int) -> np.ndarray:
    """(K, 3) float32 of depth 1 through pixels of a mask."""
    x0, y0, x1, y1 = mask_box(mask)
    x0, y0 = -(-x0 // stride) * stride, -(-y0 // stride) * stride
    rows, columns = np.nonzero(mask[y0:y1:stride, x0:x1:stride])
    ones = np.ones(len(rows), np.float32)
    return camera.back_project(columns * stride + x0, rows * stride + y0, ones)


def _rim(
    columns: np.ndarray,
    rows: np.ndarray,
    depths: np.ndarray,
    visible_mask: np.ndarray,
    camera: PinholeCamera,
    stride: int,
) -> np.ndarray:
    """(R, 3) float32 of visible pixels beside the measured ones, which are given."""
    x0, y0, x1, y1 = mask_box(visible_mask)
    known = np.full((y1 - y0, x1 - x0), np.inf, np.float32)
    known[rows - y0, columns - x0] = depths
    nearest = cv2.erode(known, np.ones((_RIM_PX, _RIM_PX), np.uint8))
    rim = visible_mask[y0:y1, x0:x1] & np.isinf(known) & (nearest <= depths.max())
    v, u = np.nonzero(rim[::stride, ::stride])
    return camera.back_project(u * stride + x0, v * stride + y0, nearest[v * stride, u * stride])


def _on_plane(
    seen: np.ndarray, hidden_rays: np.ndarray, rim: np.ndarray, plane: SupportPlane, view: _View
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hidden part, back and base of an object over a plane."""
    frame = plane.frame_towards(np.median(seen, axis=0).astype(np.float64))
    there = frame.inverse()
    body = _clear_of_plane(frame.apply(np.concatenate([seen, rim]).astype(np.float64)))
    rays = hidden_rays.astype(np.float64) @ frame.rotation.T
    hidden = _end_rays(body, rays, plane.camera_height)
    middle, farthest = _middles(body, hidden, plane.camera_height)
    back = _mirrored(body, middle, farthest, there, view)
    base = _base(np.concatenate([body, hidden]), plane.camera_height)
    return _moved(there, hidden), back, _moved(there, base)


def _mirrored(
    body: np.ndarray,
    middle: np.ndarray,
    farthest: float,
    there: RigidTransform,
    view: _View,
) -> np.ndarray:
    """(L, 3) float32 camera frame: the seen points through the middle, where they may be.

    Of the middles from the nearest possible to the farthest, the farthest counts through which as
    many points still fall into the outline.
    """
    best, most = np.zeros((0, 3), np.float32), 0
    for away in np.linspace(middle[1], max(farthest, middle[1]), _MIDDLES):
        through = 2 * np.array([middle[0], away]) - body[:, :2]
        back = _moved(there, np.column_stack([through, body[:, 2]]))
        back = back[view.may_hold(back)]
        if len(back) < _AS_MANY * most:
            break
        best, most = back, max(most, len(back))
    return best


def _moved(transform: RigidTransform, points: np.ndarray) -> np.ndarray:
    return transform.apply(points).astype(np.float32)


def _clear_of_plane(body: np.ndarray) -> np.ndarray:
    """Without what may be the plane's, unless that is nearly all: a flat object."""
    above = body[:, 2] > _CLEAR_OF_PLANE_M
    return body[above] if np.mean(above) > _CLEAR_OF_PLANE_SHARE else body


def _is_steep(body: np.ndarray, camera_height: float) -> bool:
    middle = np.median(body, axis=0)
    level = float(np.hypot(middle[0], middle[1]))
    return level < _STEEP_COSINE * float(np.hypot(level, camera_height - middle[2]))


def _end_rays(body: np.ndarray, rays: np.ndarray, camera_height: float) -> np.ndarray:
    """(K, 3) where the rays of hidden pixels end; all in the plane's frame.

    A box is entered where a ray has passed its last entering side: front or top.
    """
    if not len(rays):
        return np.zeros((0, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        to_plane = np.where(rays[:, 2] < 0, -camera_height / rays[:, 2], np.inf)
        top = np.percentile(body[:, 2], _OUTER[1])
        to_top = np.where(rays[:, 2] < 0, (top - camera_height) / rays[:, 2], 0.0)
        if _is_steep(body, camera_height):
            ends = to_top
        else:
            front = _front(body, rays, to_plane)
            width = np.ptp(np.percentile(body[:, 0], _OUTER))
            rear = max(np.percentile(body[:, 1], _OUTER[1]), front.min() + width)
            ends = np.maximum(to_top, front / rays[:, 1])
            ends = np.minimum(ends, rear / rays[:, 1])
    ends = np.minimum(np.maximum(ends, 0.0), to_plane)
    points: np.ndarray = ends[:, None] * rays + (0.0, 0.0, camera_height)
    return points


def _front(body: np.ndarray, rays: np.ndarray, to_plane: np.ndarray) -> np.ndarray:
    """(K,) how far away the object's front is where the rays of hidden pixels point.

    That of what is seen in the same direction, above or below what hides it, or beside; nearer
    where the lowest hidden pixel's ray meets the plane before that: there the object stands.
    """
    bearings, towards = body[:, 0] / body[:, 1], rays[:, 0] / rays[:, 1]
    low = min(bearings.min(), towards.min())
    step = max(max(bearings.max(), towards.max()) - low, 1e-6) / _BINS
    bins = np.minimum((bearings - low) / step, _BINS - 1).astype(int)
    of_rays = np.minimum((towards - low) / step, _BINS - 1).astype(int)
    seen = [k for k in range(_BINS) if np.count_nonzero(bins == k) >= 3]
    fronts = [np.percentile(body[bins == k, 1], 5) for k in seen]
    near, far = np.percentile(body[:, 1], _OUTER)
    if not seen:
        seen, fronts = [0], [near]
    front = np.interp(np.arange(_BINS), seen, fronts)
    nearest = near - (far - near) - np.ptp(body[:, 0])
    for k in np.unique(of_rays):
        inside = of_rays == k
        stands = np.min(to_plane[inside] * rays[inside, 1])
        front[k] = min(front[k], max(stands, nearest))
    return np.asarray(front[of_rays])


def _middles(
    body: np.ndarray, hidden: np.ndarray, camera_height: float
) -> tuple[np.ndarray, float]:
    """The object's middle from above: (2,) lateral and away, if it ends with what is seen.

    And how far away it is, if its front goes on behind.
    """
    everything = np.concatenate([body, hidden])
    low, high = np.percentile(everything[:, :2], _OUTER, axis=0)
    middle = (low + high) / 2
    farthest = float(middle[1])
    if not _is_steep(body, camera_height):
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
    bins = np.floor((body[:, 0] - left) / width * _BINS).astype(int)
    covered = np.floor((hidden[:, 0] - left) / width * _BINS).astype(int)
    places, fronts = [], []
    for number in range(_BINS):
        inside = bins == number
        count = np.count_nonzero(inside)
        if count >= 3 and np.count_nonzero(covered == number) < 0.5 * count:
            places.append((number + 0.5) / _BINS * 2 - 1)
            fronts.append(np.percentile(body[inside, 1], 5))
    if len(places) < _LEAST_BINS or places[-1] - places[0] < 2 * _LEAST_SPAN:
        return None
    x = np.array(places)
    columns = np.column_stack([np.ones(len(x)), x, -np.sqrt(1 - x**2)])
    middle, _, depth = np.linalg.lstsq(columns, np.array(fronts), rcond=None)[0]
    return float(middle) if depth > 0 else None


def _base(body: np.ndarray, camera_height: float) -> np.ndarray:
    """Straight below an object that stands on the plane; empty for one that does not.

    From steeply above one cannot tell: it is taken to stand there.
    """
    low, high = np.percentile(body[:, 2], _OUTER)
    if low > max(_STANDS_M, _STANDS_SHARE * high) and not _is_steep(body, camera_height):
        return np.zeros((0, 3))
    base = body.copy()
    base[:, 2] = 0.0
    return base
