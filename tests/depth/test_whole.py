# SPDX-License-Identifier: Apache-2.0
"""Whole objects: support plane, completed points and boxes, in scenes whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from amodal_ros.depth.box import box_along, median_depth_box, upright_box
from amodal_ros.depth.camera import RigidTransform
from amodal_ros.depth.plane import SupportPlane, find_support_plane
from amodal_ros.depth.whole import complete_object
from amodal_ros.errors import InvalidInputError
from tests.depth.ray_scene import CAMERA, HW, Block, looking_down, render

VIEW = looking_down((0.0, -0.9, 0.6), 35.0)
BOX = Block((0.02, 0.0), (0.20, 0.12, 0.15), yaw=0.4)
BEFORE = Block((-0.04, -0.15), (0.16, 0.05, 0.14))


def found(blocks, index=0, plane=True, amodal=True, view=VIEW):
    depth, visible, whole = render(view, blocks)
    support = find_support_plane(depth, list(visible), CAMERA) if plane else None
    outline = whole[index] if amodal else visible[index]
    return (
        complete_object(depth, visible[index], outline, CAMERA, support),
        visible[index],
        outline,
    )


def in_world(box, view=VIEW):
    return box.moved(view)


def test_the_plane_is_found_to_a_millimetre():
    depth, visible, _ = render(VIEW, [BOX, BEFORE])
    depth += np.random.default_rng(1).normal(0, 0.001, HW).astype(np.float32)
    plane = find_support_plane(depth, list(visible), CAMERA)
    assert plane.camera_height == pytest.approx(0.6, abs=0.001)
    np.testing.assert_allclose(VIEW.rotation @ plane.normal, (0, 0, 1), atol=0.003)
    again = find_support_plane(depth, list(visible), CAMERA)
    assert again.camera_height == plane.camera_height


def test_a_table_is_found_before_a_wall_where_up_is_known():
    """A wall behind that fills most of what is round the object, and a small table below."""
    depth, visible, _ = render(VIEW, [BOX])
    rows = np.arange(HW[0])[:, None] * np.ones(HW)
    depth[(rows < 150) & ~visible[0]] = 1.6
    up = VIEW.rotation.T @ (0.0, 0.0, 1.0)
    assert find_support_plane(depth, list(visible), CAMERA).normal @ up < 0.9
    plane = find_support_plane(depth, list(visible), CAMERA, up)
    assert plane.normal @ up > 0.999
    assert plane.camera_height == pytest.approx(0.6, abs=0.001)


def test_no_plane_where_there_is_none():
    depth, visible, _ = render(VIEW, [BOX])
    rough = np.random.default_rng(0).uniform(1.2, 4.0, HW).astype(np.float32)
    depth = np.where(visible[0], depth, rough)
    assert find_support_plane(depth, list(visible), CAMERA) is None
    depth[:] = np.nan
    assert find_support_plane(depth, list(visible), CAMERA) is None
    assert find_support_plane(depth, [], CAMERA) is None


@pytest.mark.filterwarnings("error")
def test_objects_without_depth_tell_no_plane():
    depth, visible, _ = render(VIEW, [BOX])
    depth[visible[0]] = np.nan
    assert find_support_plane(depth, list(visible), CAMERA) is None


def test_the_box_of_an_object_that_is_seen():
    whole, _, _ = found([BOX])
    box = in_world(upright_box(whole, CAMERA))
    np.testing.assert_allclose(box.centre_xyz, BOX.centre, atol=0.006)
    np.testing.assert_allclose(box.size_xyz, BOX.size, atol=0.01)
    np.testing.assert_allclose(box.rotation[:, 2], (0, 0, 1), atol=0.003)
    assert math.atan2(box.rotation[1, 0], box.rotation[0, 0]) == pytest.approx(0.4, abs=0.05)


def test_the_hidden_part_is_in_the_box():
    whole, visible, amodal = found([BOX, BEFORE])
    assert 0.25 < 1 - visible.sum() / amodal.sum() < 0.8
    box = in_world(upright_box(whole, CAMERA))
    np.testing.assert_allclose(box.centre_xyz, BOX.centre, atol=0.015)
    np.testing.assert_allclose(box.size_xyz, BOX.size, atol=0.025)


def test_of_a_half_that_is_seen_the_outline_tells_the_other():
    screen = Block((-0.12, -0.16), (0.2, 0.03, 0.3))

    def off(amodal):
        whole, visible, outline = found([BOX, screen], amodal=amodal)
        centre = in_world(upright_box(whole, CAMERA)).centre_xyz
        return np.linalg.norm(centre - BOX.centre), visible.sum() / outline.sum()

    with_outline, share = off(amodal=True)
    assert 0.2 < share < 0.75
    assert with_outline < 0.02 < off(amodal=False)[0]


def test_hidden_points_lie_on_the_object_and_not_below_the_table():
    whole, visible, amodal = found([BOX, BEFORE])
    assert len(whole.seen) == visible.sum()
    assert len(whole.hidden) == (amodal & ~visible).sum()
    points = VIEW.apply(whole.hidden)
    assert points[:, 2].min() > -0.002
    turn = np.array([[math.cos(0.4), -math.sin(0.4)], [math.sin(0.4), math.cos(0.4)]])
    local = (points[:, :2] - BOX.at_xy) @ turn
    beyond = np.maximum(np.abs(local) - np.array(BOX.size[:2]) / 2, 0).max(axis=1)
    assert np.median(beyond) < 0.02


def test_a_covariance_says_where_the_guess_is():
    seen = upright_box(found([BOX])[0], CAMERA).covariance
    hidden = upright_box(found([BOX, BEFORE])[0], CAMERA).covariance
    for covariance in (seen, hidden):
        np.testing.assert_allclose(covariance, covariance.T, atol=1e-12)
        assert np.linalg.eigvalsh(covariance).min() > 0
    assert np.trace(hidden[:3, :3]) > np.trace(seen[:3, :3])
    moved = upright_box(found([BOX])[0], CAMERA, sigma_px=30.0).covariance
    assert np.trace(moved[:3, :3]) > 2 * np.trace(seen[:3, :3])


def test_along_the_axes_of_another_frame():
    whole, _, _ = found([BOX])
    box = in_world(box_along(whole, VIEW.rotation.T, CAMERA))
    np.testing.assert_allclose(box.rotation, np.eye(3), atol=1e-9)
    cosine, sine = math.cos(0.4), math.sin(0.4)
    expected = (0.20 * cosine + 0.12 * sine, 0.20 * sine + 0.12 * cosine, 0.15)
    np.testing.assert_allclose(box.size_xyz, expected, atol=0.012)
    np.testing.assert_allclose(box.centre_xyz, BOX.centre, atol=0.008)


def test_from_straight_above_the_box_reaches_the_table():
    above = RigidTransform(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 0.9]))
    whole, _, _ = found([BOX], view=above)
    box = upright_box(whole, CAMERA).moved(above)
    np.testing.assert_allclose(box.size_xyz, BOX.size, atol=0.01)
    np.testing.assert_allclose(box.centre_xyz, BOX.centre, atol=0.008)


def test_without_a_plane_the_median_depth_counts():
    whole, _, amodal = found([BOX, BEFORE], plane=False)
    np.testing.assert_allclose(whole.hidden[:, 2], whole.median_depth_m, rtol=1e-6)
    assert len(whole.back) == len(whole.base) == 0
    box = median_depth_box(whole, amodal, CAMERA)
    columns = np.flatnonzero(amodal.any(axis=0))
    width = (columns[-1] + 1 - columns[0]) * whole.median_depth_m / CAMERA.fx
    assert box.size_xyz[0] == pytest.approx(width, rel=1e-5)
    np.testing.assert_array_equal(upright_box(whole, CAMERA).rotation, np.eye(3))


def test_an_object_on_another_does_not_reach_the_table():
    depth, visible, amodal = render(VIEW, [Block((0.0, 0.0), (0.2, 0.2, 0.3))])
    upper = np.zeros(HW, bool)
    upper[: np.flatnonzero(amodal[0].any(axis=1))[0] + 35] = True
    plane = SupportPlane(VIEW.rotation.T @ (0.0, 0.0, 1.0), 0.6)
    whole = complete_object(depth, visible[0] & upper, amodal[0] & upper, CAMERA, plane)
    assert len(whole.base) == 0
    assert VIEW.apply(whole.points)[:, 2].min() > 0.1


def test_hardly_a_depth_and_wrong_arguments():
    depth, visible, amodal = render(VIEW, [BOX])
    few = np.zeros(HW, bool)
    few.reshape(-1)[np.flatnonzero(visible[0])[:9]] = True
    nothing = np.zeros(HW, bool)
    assert complete_object(depth, few, amodal[0], CAMERA) is None
    assert complete_object(depth, nothing, nothing, CAMERA) is None
    with pytest.raises(InvalidInputError, match="stride"):
        complete_object(depth, visible[0], amodal[0], CAMERA, stride=0)
    with pytest.raises(InvalidInputError, match="mask"):
        complete_object(depth, visible[0], amodal[0][:-1], CAMERA)


@pytest.mark.parametrize("stride", [2, 3, 7])
def test_stride_takes_pixels_of_one_grid(stride):
    depth, visible, amodal = render(VIEW, [BOX, BEFORE])
    grid = np.zeros(HW, bool)
    grid[::stride, ::stride] = True
    whole = complete_object(depth, visible[0], amodal[0], CAMERA, None, stride)
    assert len(whole.seen) == (visible[0] & grid).sum()
    assert len(whole.hidden) == (amodal[0] & ~visible[0] & grid).sum()
    u, v = CAMERA.project(np.concatenate([whole.seen, whole.hidden]))
    np.testing.assert_allclose(np.round(u) % stride, 0)
    np.testing.assert_allclose(np.round(v) % stride, 0)
