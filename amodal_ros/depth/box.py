# SPDX-License-Identifier: Apache-2.0
"""The box of a whole object: along given axes, or upright on the plane and turned with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from amodal_ros.depth.whole import WholeObject
from amodal_ros.image.masks import mask_box

_OUTER = (0.5, 99.5)  # percentiles of the points between which a box lies
# How far off the sides are, as standard deviations: set on rendered scenes with true masks so
# that 95 % of the true centres lie within 95 % of the distribution (docs/space.md).
_OUTLINE_PX = 3.5
_DEPTH_NOISE = 0.01
# A side of the box that nothing seen reaches is off by so much of the gap.
_GAP_SIGMA = 1.0
_TILT_SIGMA_RAD = 0.02
_LARGEST_YAW_SIGMA_RAD = math.pi / 4 / math.sqrt(3)  # any angle up to 45 degrees


@dataclass(frozen=True, eq=False)
class ObjectBox:
    """The box of a whole object.

    Attributes:
        centre_xyz: (3,) float64, metres.
        size_xyz: (3,) float64, metres, along the box's own axes.
        rotation: (3, 3) float64, its axes as columns.
        covariance: (6, 6) float64 of x, y, z (metres) and of the turns about the frame's x, y, z
            (radians).
    """

    centre_xyz: np.ndarray
    size_xyz: np.ndarray
    rotation: np.ndarray
    covariance: np.ndarray

    def moved(self, transform: RigidTransform) -> ObjectBox:
        """The same box in another frame."""
        turn = np.kron(np.eye(2), transform.rotation)
        return ObjectBox(
            transform.apply(self.centre_xyz),
            self.size_xyz,
            transform.rotation @ self.rotation,
            turn @ self.covariance @ turn.T,
        )


def box_along(
    whole: WholeObject, axes: np.ndarray, camera: PinholeCamera, sigma_px: float = 0.0
) -> ObjectBox:
    """The box along given axes.

    Args:
        whole: the object's points.
        axes: (3, 3) rotation, the box's axes in the camera's frame as columns.
        camera: intrinsics, of what a pixel is in metres.
        sigma_px: how far off the masks may be, beside their outlines, in pixels.
    """
    low, high = np.percentile(whole.points @ axes, _OUTER, axis=0)
    # Points are the middles of pixels, which reach further across the line of sight.
    sight = np.median(whole.seen, axis=0) @ axes
    across = np.sqrt(np.maximum(1 - (sight / np.linalg.norm(sight)) ** 2, 0.0))
    low, high = low - across * whole.spacing_m / 2, high + across * whole.spacing_m / 2
    pixel_m = whole.median_depth_m / camera.focal_px
    sigmas = _side_sigmas(whole, axes, low, high, pixel_m)
    covariance = np.zeros((6, 6))
    # The middle is the mean of two sides.
    middle = np.sum(sigmas**2, axis=0) / 4 + (sigma_px * pixel_m) ** 2
    covariance[:3, :3] = axes @ np.diag(middle) @ axes.T
    return ObjectBox(axes @ ((low + high) / 2), high - low, axes, covariance)


def upright_box(whole: WholeObject, camera: PinholeCamera, sigma_px: float = 0.0) -> ObjectBox:
    """The smallest box that stands upright on the object's plane.

    Its z axis is up, its x axis the longer of the other two sides, to the camera's right. An
    object without a plane has a box along the camera's axes.

    Args:
        whole: the object's points.
        camera: intrinsics, of what a pixel is in metres.
        sigma_px: how far off the masks may be, beside their outlines, in pixels.
    """
    if whole.plane is None:
        return box_along(whole, np.eye(3), camera, sigma_px)
    frame = whole.plane.frame_towards(np.median(whole.seen, axis=0).astype(np.float64))
    angle = _footprint_angle(frame.apply(whole.points.astype(np.float64))[:, :2])
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    box = box_along(whole, frame.rotation.T @ turn, camera, sigma_px)
    if box.size_xyz[0] < box.size_xyz[1]:
        quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        rotation = box.rotation @ quarter
        if rotation[0, 0] < 0:
            rotation = rotation * (-1.0, -1.0, 1.0)
        box = ObjectBox(box.centre_xyz, box.size_xyz[[1, 0, 2]], rotation, box.covariance)
    box.covariance[3:, 3:] = _turn_covariance(box)
    return box


def median_depth_box(
    whole: WholeObject, amodal_mask: np.ndarray, camera: PinholeCamera, sigma_px: float = 0.0
) -> ObjectBox:
    """The box along the camera's axes where nothing but the visible part's depth is known.

    Width and height are those of the amodal mask at the visible part's median depth, exact for a
    silhouette that lies there. The length along z is that of the visible surface.
    """
    near, far = np.percentile(whole.seen[:, 2], (2.0, 98.0))
    x0, y0, x1, y1 = mask_box(amodal_mask)
    # Outer edges of the pixels, whose centres are whole numbers.
    edges = camera.back_project(
        np.array([x0 - 0.5, x1 - 0.5]),
        np.array([y0 - 0.5, y1 - 0.5]),
        np.full(2, whole.median_depth_m),
    ).astype(np.float64)
    edges[:, 2] = near, far
    box = box_along(whole, np.eye(3), camera, sigma_px)
    return ObjectBox(edges.mean(axis=0), edges[1] - edges[0], box.rotation, box.covariance)


def _side_sigmas(
    whole: WholeObject, axes: np.ndarray, low: np.ndarray, high: np.ndarray, pixel_m: float
) -> np.ndarray:
    """(2, 3) standard deviations in metres of the lower and upper sides."""
    seen_low, seen_high = np.percentile(whole.seen @ axes, _OUTER, axis=0)
    gaps = np.maximum(np.stack([seen_low - low, high - seen_high]), 0.0)
    if len(whole.base):  # its plane is seen
        gaps[0] *= 1.0 - np.abs(axes.T @ whole.plane.normal) if whole.plane is not None else 1.0
    measured = np.hypot(_OUTLINE_PX * pixel_m, _DEPTH_NOISE * whole.median_depth_m)
    return np.hypot(measured, _GAP_SIGMA * gaps)


def _footprint_angle(points: np.ndarray) -> float:
    """Angle of the smallest rectangle about points (N, 2), -45 to 45 degrees, in radians."""
    low, high = np.percentile(points, _OUTER, axis=0)
    inside = ((points >= low) & (points <= high)).all(axis=1)
    hull = cv2.convexHull(points[inside if inside.sum() > 2 else slice(None)].astype(np.float32))
    angle = math.radians(cv2.minAreaRect(hull)[2])
    return (angle + math.pi / 4) % (math.pi / 2) - math.pi / 4


def _turn_covariance(box: ObjectBox) -> np.ndarray:
    """(3, 3): the plane's tilt, and about its normal the more the rounder the footprint is."""
    long, short = box.size_xyz[0], box.size_xyz[1]
    yaw = _LARGEST_YAW_SIGMA_RAD * short / max(long, 1e-9)
    axes = box.rotation
    return np.asarray(axes @ np.diag([_TILT_SIGMA_RAD**2, _TILT_SIGMA_RAD**2, yaw**2]) @ axes.T)
