# SPDX-License-Identifier: Apache-2.0
"""Depth moved to another camera's pixels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from amodal_ros.depth.registration import register_depth
from amodal_ros.errors import InvalidInputError

DEPTH_CAMERA = PinholeCamera(200.0, 200.0, 79.5, 59.5)
HW = (120, 160)


def test_the_same_camera_changes_nothing():
    depth = np.random.default_rng(0).uniform(0.5, 3.0, HW).astype(np.float32)
    depth[3, 4] = np.nan
    same = register_depth(depth, DEPTH_CAMERA, DEPTH_CAMERA, RigidTransform.identity(), HW)
    np.testing.assert_allclose(same, depth, rtol=1e-6)


def test_a_finer_camera_beside_it_sees_a_plane_without_holes():
    """A slanted plane, seen by a camera that is 5 cm beside, turned, and twice as fine."""
    normal, distance = np.array([0.1, -0.2, 1.0]), 1.2
    image_camera = PinholeCamera(400.0, 400.0, 159.5, 119.5)
    turn = Rotation.from_euler("y", 2, True).as_matrix()
    between = RigidTransform(turn, np.array([-0.05, 0.0, 0.0]))

    def plane(camera, hw, normal, distance):
        v, u = np.mgrid[: hw[0], : hw[1]]
        rays = camera.back_project(u.ravel(), v.ravel(), np.ones(u.size))
        return (distance / (rays @ normal)).reshape(hw).astype(np.float32)

    depth = plane(DEPTH_CAMERA, HW, normal, distance)
    turned = between.rotation @ normal
    expected = plane(image_camera, (240, 320), turned, distance + turned @ between.translation)
    found = register_depth(depth, DEPTH_CAMERA, image_camera, between, (240, 320))
    inner = (slice(30, 210), slice(40, 260))
    assert np.isfinite(found[inner]).mean() > 0.99
    assert np.nanmax(np.abs(found[inner] - expected[inner])) < 0.004


def test_the_nearest_counts_and_what_is_behind_does_not_appear():
    depth = np.full(HW, 2.0, np.float32)
    depth[:, 80:] = 1.0
    beside = RigidTransform(np.eye(3), np.array([-0.1, 0.0, 0.0]))
    found = register_depth(depth, DEPTH_CAMERA, DEPTH_CAMERA, beside, HW)
    # The near half moves by 20 pixels, the far one by 10: it is covered by the near one.
    np.testing.assert_allclose(found[60, 60:140], 1.0)
    np.testing.assert_allclose(found[60, :60], 2.0)
    assert np.isnan(found[60, 140:]).all()


def test_wrong_depth():
    with pytest.raises(InvalidInputError, match="depth_m: expected a float32 array"):
        register_depth(np.zeros(HW), DEPTH_CAMERA, DEPTH_CAMERA, RigidTransform.identity(), HW)
