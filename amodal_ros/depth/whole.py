# SPDX-License-Identifier: Apache-2.0
"""Points of a whole object: what is seen, what is hidden, and the unseen back.

- Seen: measured, the depth of each visible pixel (`visible_depths`).
- Hidden: the amodal mask says through which pixels the hidden part would be seen. Where the object
  stands on a plane, a hidden pixel's ray ends at the object's front or at its top, as at a box
  whose front and top are those of what is seen, and never below the plane. Without a plane it ends
  at the median depth of the visible part.
- Rim: visible pixels beside measured ones, without a depth of their own, as at edges: at the
  nearest of those depths.
- Back: no camera sees it. What is seen is mirrored at the object's middle (``back``). Needs a
  plane.
- Base: straight below, of an object that stands on the plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from amodal_ros.depth.back import OUTER, View, end_rays, mirrored
from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from amodal_ros.depth.pixels import MIN_POINTS, check_pair, visible_depths
from amodal_ros.depth.plane import SupportPlane
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_box

# Points as near to the plane as its noise may be the plane's own, where the object is higher.
_CLEAR_OF_PLANE_M = 0.006
_CLEAR_OF_PLANE_SHARE = 0.3
# An object stands on the plane if its lowest part is so near, or within so much of its height.
_STANDS_M, _STANDS_SHARE = 0.02, 0.35
_RIM_PX = 7


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
    view = View(depth_m, visible_mask, amodal_mask, camera)
    hidden, back, base = _on_plane(seen, hidden, rim, plane, view)
    return WholeObject(seen, hidden, rim, back, base, median, spacing, plane)


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
    seen: np.ndarray, hidden_rays: np.ndarray, rim: np.ndarray, plane: SupportPlane, view: View
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hidden part, back and base of an object over a plane."""
    frame = plane.frame_towards(np.median(seen, axis=0).astype(np.float64))
    there = frame.inverse()
    body = _clear_of_plane(frame.apply(np.concatenate([seen, rim]).astype(np.float64)))
    rays = hidden_rays.astype(np.float64) @ frame.rotation.T
    hidden = end_rays(body, rays, plane)
    back = mirrored(body, hidden, plane, there, view)
    base = _base(np.concatenate([body, hidden]), plane)
    return _moved(there, hidden), back, _moved(there, base)


def _moved(transform: RigidTransform, points: np.ndarray) -> np.ndarray:
    return transform.apply(points).astype(np.float32)


def _clear_of_plane(body: np.ndarray) -> np.ndarray:
    """Without what may be the plane's, unless that is nearly all: a flat object."""
    above = body[:, 2] > _CLEAR_OF_PLANE_M
    return body[above] if np.mean(above) > _CLEAR_OF_PLANE_SHARE else body


def _base(body: np.ndarray, plane: SupportPlane) -> np.ndarray:
    """Straight below an object that stands on the plane; empty for one that does not.

    From steeply above one cannot tell: it is taken to stand there.
    """
    low, high = np.percentile(body[:, 2], OUTER)
    if low > max(_STANDS_M, _STANDS_SHARE * high) and not plane.is_steep(body):
        return np.zeros((0, 3))
    base = body.copy()
    base[:, 2] = 0.0
    return base
