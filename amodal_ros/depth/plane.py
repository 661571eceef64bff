# SPDX-License-Identifier: Apache-2.0
"""The plane that objects stand on: RANSAC over the depths beside and below them, seeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from amodal_ros.depth.pixels import check_pair
from amodal_ros.image.masks import mask_box

_SEED = 0
_MOST_SAMPLES = 3000
_LEAST_SAMPLES = 100
_MOST_OBJECT_SAMPLES = 600
_TRIALS = 160
# A point lies in the plane within a depth camera's noise.
_TOLERANCE_M, _TOLERANCE_OF_DEPTH = 0.004, 0.004
_LEAST_SHARE = 0.25  # of the samples: fewer are no support
_LEAST_ABOVE = 0.9  # of the objects' points: nothing stands below its support
_REFINEMENTS = 2
_MARGIN = 0.6  # of an object's box that is looked at beside and below it
_STEEP_COSINE = 0.35  # of the angle between line of sight and plane: 70 degrees
_WIDEST_TILT_COSINE = 0.9  # 26 degrees from the direction that is known to be up


@dataclass(frozen=True, eq=False)
class SupportPlane:
    """Where objects stand: height(p) = normal . p + camera_height.

    Attributes:
        normal: (3,) float64 unit vector in the camera's frame, to the camera's side: up.
        camera_height: of the camera above the plane, metres, above 0.
    """

    normal: np.ndarray
    camera_height: float

    def heights(self, points_xyz: np.ndarray) -> np.ndarray:
        """(M,) metres of points (M, 3) above the plane."""
        heights: np.ndarray = points_xyz @ self.normal + self.camera_height
        return heights

    def frame_towards(self, point_xyz: np.ndarray) -> RigidTransform:
        """From the camera's frame to one on the plane below the camera.

        Its axes: lateral (to the right), away (from the camera to the point, along the plane), up.
        Where the camera looks straight down, away is the image's upper side.
        """
        away = point_xyz - (point_xyz @ self.normal) * self.normal
        if np.linalg.norm(away) < 1e-3 * np.linalg.norm(point_xyz):
            upwards = np.array([0.0, -1.0, 0.0])
            away = upwards - (upwards @ self.normal) * self.normal
        away = away / np.linalg.norm(away)
        axes = np.stack([np.cross(away, self.normal), away, self.normal])
        return RigidTransform(axes, np.array([0.0, 0.0, self.camera_height]))

    def is_steep(self, points_xyz: np.ndarray) -> bool:
        """Whether points (M, 3) of such a frame are seen from steeply above: their tops alone."""
        middle = np.median(points_xyz, axis=0)
        level = float(np.hypot(middle[0], middle[1]))
        return level < _STEEP_COSINE * float(np.hypot(level, self.camera_height - middle[2]))


def find_support_plane(
    depth_m: np.ndarray,
    visible_masks: Sequence[np.ndarray],
    camera: PinholeCamera,
    up: np.ndarray | None = None,
) -> SupportPlane | None:
    """The plane that most of the surroundings of a frame's objects lie in, if there is one.

    The same images give the same plane. Of one frame there is one: objects on a second surface
    get boxes that reach down to neither.

    Args:
        depth_m: (H, W) float32, as of `depth_in_metres`.
        visible_masks: (H, W) bool of each object.
        camera: intrinsics of both.
        up: (3,) direction against gravity in the camera's frame, where it is known; surfaces that
            lean are then left out.

    Returns:
        None where no plane holds enough of the depths, or the objects lie below it or have no
        depth.

    Raises:
        InvalidInputError: when the sizes differ.
    """
    for mask in visible_masks:
        check_pair(depth_m, mask)
    rng = np.random.default_rng(_SEED)
    seen = np.logical_or.reduce([np.zeros(depth_m.shape, bool), *visible_masks])
    surroundings = _surroundings(depth_m.shape, visible_masks) & ~seen
    around = _sampled(depth_m, surroundings, camera, rng)
    of_objects = _sampled(depth_m, seen, camera, rng)[:_MOST_OBJECT_SAMPLES]
    if len(around) < _LEAST_SAMPLES or not len(of_objects):
        return None
    planes = _candidates(around, rng)
    planes = planes[_plausible(planes, of_objects, up)]
    if not len(planes):
        return None
    tolerance = _TOLERANCE_M + _TOLERANCE_OF_DEPTH * around[:, 2:]
    inliers = np.abs(around @ planes[:, :3].T + planes[:, 3]) <= tolerance
    best = int(np.argmax(np.count_nonzero(inliers, axis=0)))
    if np.count_nonzero(inliers[:, best]) < _LEAST_SHARE * len(around):
        return None
    plane = planes[best]
    for _ in range(_REFINEMENTS):
        near = np.abs(around @ plane[:3] + plane[3]) <= tolerance[:, 0]
        plane = _least_squares(around[near])
    if not _plausible(plane[None], of_objects, up)[0]:
        return None
    return SupportPlane(plane[:3], float(plane[3]))


def _surroundings(hw: tuple[int, ...], masks: Sequence[np.ndarray]) -> np.ndarray:
    """(H, W) bool: beside and below each object."""
    around = np.zeros(hw, bool)
    for mask in masks:
        x0, y0, x1, y1 = mask_box(mask)
        if x0 == x1:
            continue
        side, below = round(_MARGIN * (x1 - x0)) + 2, round(_MARGIN * (y1 - y0)) + 2
        around[(y0 + y1) // 2 : y1 + below, max(x0 - side, 0) : x1 + side] = True
    return around


def _sampled(
    depth_m: np.ndarray, mask: np.ndarray, camera: PinholeCamera, rng: np.random.Generator
) -> np.ndarray:
    """(M, 3) float64 points of some pixels of a mask, in random order."""
    rows, columns = np.nonzero(mask & ~np.isnan(depth_m))
    some = rng.permutation(len(rows))[:_MOST_SAMPLES]
    rows, columns = rows[some], columns[some]
    return camera.back_project(columns, rows, depth_m[rows, columns]).astype(np.float64)


def _candidates(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(K, 4) planes through three points each, normals to the camera's side."""
    corners = points[rng.integers(len(points), size=(_TRIALS, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals, corners = normals[lengths > 1e-9], corners[lengths > 1e-9]
    normals /= lengths[lengths > 1e-9, None]
    offsets = -np.einsum("kc,kc->k", normals, corners[:, 0])
    signs = np.where(offsets < 0, -1.0, 1.0)
    return np.column_stack([normals * signs[:, None], offsets * signs])


def _plausible(planes: np.ndarray, of_objects: np.ndarray, up: np.ndarray | None) -> np.ndarray:
    """(K,) bool of planes (K, 4): the objects are above it, and it does not lean."""
    tolerance = _TOLERANCE_M + _TOLERANCE_OF_DEPTH * of_objects[:, 2:]
    above = of_objects @ planes[:, :3].T + planes[:, 3] >= -tolerance
    plausible = (np.mean(above, axis=0) >= _LEAST_ABOVE) & (planes[:, 3] > 1e-3)
    if up is not None:
        plausible &= planes[:, :3] @ up >= _WIDEST_TILT_COSINE
    return np.asarray(plausible, bool)


def _least_squares(points: np.ndarray) -> np.ndarray:
    """(4,) the plane of points (M, 3) with the least squared distances."""
    middle = points.mean(axis=0)
    normal = np.linalg.eigh(np.cov((points - middle).T))[1][:, 0]
    offset = -float(normal @ middle)
    return np.append(normal, offset) * (1.0 if offset >= 0 else -1.0)
