# SPDX-License-Identifier: Apache-2.0
"""Pinhole cameras and rigid transforms, against scipy's rotations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from amodal_ros.depth.camera import PinholeCamera, RigidTransform, quaternion_xyzw
from amodal_ros.errors import InvalidInputError


@pytest.mark.parametrize("values", [(0, 1, 0, 0), (1, -1, 0, 0), (1, 1, np.nan, 0)])
def test_impossible_cameras(values):
    with pytest.raises(InvalidInputError, match="camera: expected finite fx, fy > 0"):
        PinholeCamera(*values)


def test_projection_undoes_back_projection():
    camera = PinholeCamera(300.0, 310.0, 158.3, 121.7)
    u, v = np.array([0.0, 10.5, 319.0]), np.array([3.0, 200.25, 0.0])
    found = camera.project(camera.back_project(u, v, np.array([0.5, 1.0, 7.0])))
    np.testing.assert_allclose(found, (u, v), atol=1e-3)


def test_transforms_are_scipys():
    for rotation in [*Rotation.random(20, random_state=0), Rotation.from_euler("x", 180, True)]:
        shift = np.array([0.1, -2.0, 3.0])
        transform = RigidTransform.from_quaternion(3 * rotation.as_quat(), shift)
        np.testing.assert_allclose(transform.rotation, rotation.as_matrix(), atol=1e-12)
        points = np.arange(12.0).reshape(4, 3)
        np.testing.assert_allclose(transform.apply(points), rotation.apply(points) + shift)
        back = transform.inverse() @ transform
        np.testing.assert_allclose(back.apply(points), points, atol=1e-12)
        quaternion = quaternion_xyzw(transform.rotation)
        assert abs(quaternion @ rotation.as_quat()) == pytest.approx(1.0)
        assert quaternion[3] >= 0


@pytest.mark.parametrize("quaternion", [np.zeros(4), np.array([np.nan, 0, 0, 1])])
def test_no_rotation(quaternion):
    with pytest.raises(InvalidInputError, match="expected finite numbers and a quaternion"):
        RigidTransform.from_quaternion(quaternion, np.zeros(3))
