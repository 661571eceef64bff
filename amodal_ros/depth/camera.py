# SPDX-License-Identifier: Apache-2.0
"""A pinhole camera, and where one frame is in another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from amodal_ros.errors import InvalidInputError


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

    @property
    def focal_px(self) -> float:
        """The mean of both focal lengths."""
        return (self.fx + self.fy) / 2

    def back_project(self, u: np.ndarray, v: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Points (M, 3) float32 of pixels u, v (M,) at depths z (M,) in metres."""
        points = np.empty((len(z), 3), np.float32)
        points[:, 0] = (u - self.cx) / self.fx * z
        points[:, 1] = (v - self.cy) / self.fy * z
        points[:, 2] = z
        return points

    def project(self, points_xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels u, v (M,) float of points (M, 3) before the camera."""
        x, y, z = points_xyz.T
        return x / z * self.fx + self.cx, y / z * self.fy + self.cy


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """Where a frame lies in another: p_other = rotation p + translation.

    Attributes:
        rotation: (3, 3) float64.
        translation: (3,) float64, metres.
    """

    rotation: np.ndarray
    translation: np.ndarray

    @classmethod
    def identity(cls) -> RigidTransform:
        """Both frames are one."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_quaternion(cls, xyzw: np.ndarray, translation: np.ndarray) -> RigidTransform:
        """Of a quaternion of any length (x, y, z, w).

        Raises:
            InvalidInputError: for a quaternion without length, or numbers that are not finite.
        """
        values = np.concatenate([xyzw, translation]).astype(np.float64)
        length = float(np.linalg.norm(values[:4]))
        if not np.isfinite(values).all() or length < 1e-6:
            raise InvalidInputError(
                f"transform: expected finite numbers and a quaternion, got {values.tolist()}"
            )
        x, y, z, w = values[:4] / length
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return cls(rotation, values[4:])

    def apply(self, points_xyz: np.ndarray) -> np.ndarray:
        """Points (M, 3) or one (3,) in the other frame, of their own type."""
        moved: np.ndarray = points_xyz @ self.rotation.T + self.translation
        return moved.astype(points_xyz.dtype, copy=False)

    def inverse(self) -> RigidTransform:
        """The way back."""
        return RigidTransform(self.rotation.T, -self.rotation.T @ self.translation)

    def __matmul__(self, first: RigidTransform) -> RigidTransform:
        """First `first`, then this one."""
        return RigidTransform(self.rotation @ first.rotation, self.apply(first.translation))


def quaternion_xyzw(rotation: np.ndarray) -> np.ndarray:
    """(4,) float64 x, y, z, w of a rotation (3, 3), w not negative.

    By the largest component, so that no difference of near numbers is divided by.
    """
    trace = float(np.trace(rotation))
    squares = np.append(1 + 2 * np.diag(rotation) - trace, 1 + trace)
    largest = int(np.argmax(squares))
    skew = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    if largest == 3:
        quaternion = np.append(skew, squares[3])
    else:
        quaternion = np.append(rotation[largest] + rotation[:, largest], skew[largest])
        quaternion[largest] = squares[largest]
    quaternion /= np.linalg.norm(quaternion)
    return -quaternion if quaternion[3] < 0 else quaternion
