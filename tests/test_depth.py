# SPDX-License-Identifier: Apache-2.0
"""Depth geometry against scenes of known boxes, rendered by casting a ray through each pixel."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.depth import (
    PinholeCamera,
    amodal_extent,
    depth_in_metres,
    object_cloud,
    visible_depths,
)
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_box

HW = (240, 320)
CAMERA = PinholeCamera(fx=300.0, fy=310.0, cx=158.3, cy=121.7)
WALL_M = 3.0


def ray_depths(box_min, box_max) -> np.ndarray:
    """(H, W) depth at which the ray of each pixel enters an axis-aligned box; inf: it misses."""
    v, u = np.mgrid[: HW[0], : HW[1]]
    rays = np.stack(
        [(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(HW)], axis=-1
    )
    with np.errstate(divide="ignore"):
        low, high = np.array(box_min) / rays, np.array(box_max) / rays
    enter = np.minimum(low, high).max(axis=-1)
    leave = np.maximum(low, high).min(axis=-1)
    return np.where(enter <= leave, enter, np.inf)


def render(target, occluder=None):
    """Depth (H, W) float32, visible and amodal mask of the target; a wall is behind."""
    own = ray_depths(*target)
    other = np.full(HW, np.inf) if occluder is None else ray_depths(*occluder)
    depth = np.minimum(np.minimum(own, other), WALL_M).astype(np.float32)
    amodal = np.isfinite(own)
    return depth, amodal & (own <= other), amodal


TARGET = ((-0.20, -0.15, 1.0), (0.25, 0.10, 1.3))
OCCLUDER = ((0.05, -0.3, 0.6), (0.4, 0.3, 0.7))


def pixel_m(depth_m: float = 1.0) -> float:
    return depth_m / CAMERA.fx


@pytest.mark.parametrize("occluder", [None, OCCLUDER])
def test_extent_of_a_box_that_faces_the_camera(occluder):
    depth, visible, amodal = render(TARGET, occluder)
    if occluder:
        assert 0.2 < visible.sum() / amodal.sum() < 0.8
    extent = amodal_extent(depth, visible, mask_box(amodal), CAMERA)
    low, high = np.array(TARGET[0]), np.array(TARGET[1])
    # The silhouette is that of the front face; its depth is exact, the unseen back is not given.
    assert extent.median_depth_m == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(extent.size_xyz[:2], (high - low)[:2], atol=1.01 * pixel_m())
    centre = (low + high) / 2
    np.testing.assert_allclose(extent.centre_xyz[:2], centre[:2], atol=0.51 * pixel_m())
    assert extent.centre_xyz[2] == pytest.approx(1.0, abs=0.01)
    assert extent.size_xyz[2] <= 0.02


def test_depth_of_a_slanted_surface():
    """A side that runs away from the camera: the box spans the depths that are seen."""
    depth, visible, amodal = render(TARGET)
    columns = np.broadcast_to(np.arange(HW[1]), HW)
    depth = np.where(amodal, 1.0 + 0.004 * (columns - columns[amodal].min()), depth)
    depth = depth.astype(np.float32)
    extent = amodal_extent(depth, visible, mask_box(amodal), CAMERA)
    true = depth[amodal].max() - depth[amodal].min()
    assert 0.9 * true < extent.size_xyz[2] <= true
    assert extent.centre_xyz[2] == pytest.approx(extent.median_depth_m, rel=0.01)


def test_visible_points_lie_on_the_true_surface_and_nothing_of_the_wall_does():
    depth, visible, _ = render(TARGET, OCCLUDER)
    ragged = visible.copy()
    ragged[:, 1:] |= visible[:, :-1]  # a column too much: wall and occluder
    columns, rows, depths = visible_depths(depth, ragged)
    assert len(depths) == visible.sum()
    points = CAMERA.back_project(columns, rows, depths)
    low, high = np.array(TARGET[0]) - 1e-4, np.array(TARGET[1]) + 1e-4
    assert ((points >= low) & (points <= high)).all()
    np.testing.assert_allclose(points[:, 2], 1.0, atol=1e-5)


def test_noise_and_holes():
    rng = np.random.default_rng(0)
    depth, visible, amodal = render(TARGET, OCCLUDER)
    noisy = (depth + rng.normal(0, 0.004, HW)).astype(np.float32)
    noisy[rng.random(HW) < 0.4] = np.nan
    extent = amodal_extent(noisy, visible, mask_box(amodal), CAMERA)
    assert extent.median_depth_m == pytest.approx(1.0, abs=0.002)
    assert extent.size_xyz[2] < 0.03
    np.testing.assert_allclose(extent.size_xyz[:2], (0.45, 0.25), atol=1.5 * pixel_m())


def test_cloud_has_the_visible_surface_measured_and_the_rest_at_its_depth():
    depth, visible, amodal = render(TARGET, OCCLUDER)
    cloud = object_cloud(depth, visible, amodal, CAMERA)
    assert (~cloud.occluded).sum() == visible.sum()
    assert cloud.occluded.sum() == (amodal & ~visible).sum()
    np.testing.assert_allclose(cloud.points_xyz[cloud.occluded][:, 2], 1.0, atol=1e-5)
    # Together they are the front face: all of it, nothing beside it.
    low, high = cloud.points_xyz.min(axis=0), cloud.points_xyz.max(axis=0)
    np.testing.assert_allclose(low[:2], TARGET[0][:2], atol=pixel_m())
    np.testing.assert_allclose(high[:2], TARGET[1][:2], atol=pixel_m())


@pytest.mark.parametrize("stride", [2, 3, 7])
def test_stride_takes_pixels_of_one_grid(stride):
    depth, visible, amodal = render(TARGET, OCCLUDER)
    grid = np.zeros(HW, bool)
    grid[::stride, ::stride] = True
    cloud = object_cloud(depth, visible, amodal, CAMERA, stride)
    assert (~cloud.occluded).sum() == (visible & grid).sum()
    assert cloud.occluded.sum() == (amodal & ~visible & grid).sum()
    u = cloud.points_xyz[:, 0] / cloud.points_xyz[:, 2] * CAMERA.fx + CAMERA.cx
    np.testing.assert_allclose(np.round(u) % stride, 0)
    np.testing.assert_allclose(u, np.round(u), atol=1e-3)


@pytest.mark.parametrize("visible_pixels", [0, 9])
def test_an_object_with_hardly_a_depth_has_no_extent(visible_pixels):
    depth, _, amodal = render(TARGET)
    visible = np.zeros(HW, bool)
    visible.reshape(-1)[np.flatnonzero(amodal)[:visible_pixels]] = True
    assert amodal_extent(depth, visible, mask_box(amodal), CAMERA) is None
    assert len(object_cloud(depth, visible, amodal, CAMERA).points_xyz) == 0


def test_empty_masks():
    depth, _, _ = render(TARGET)
    nothing = np.zeros(HW, bool)
    assert amodal_extent(depth, nothing, (0, 0, 0, 0), CAMERA) is None
    assert len(object_cloud(depth, nothing, nothing, CAMERA).points_xyz) == 0


def test_units():
    millimetres = depth_in_metres(np.array([[0, 1, 1500, 65535]], np.uint16))
    np.testing.assert_allclose(millimetres, [[np.nan, 0.001, 1.5, 65.535]], rtol=1e-6)
    raw = np.array([[0.0, -1.0, np.inf, np.nan, 2.5]], np.float32)
    metres = depth_in_metres(raw)
    np.testing.assert_array_equal(metres, np.array([[np.nan] * 4 + [2.5]], np.float32))
    assert raw[0, 0] == 0.0  # the input stays as it is
    assert millimetres.dtype == metres.dtype == np.float32


@pytest.mark.parametrize(
    "depth", [np.zeros((2, 2)), np.zeros((2, 2, 1), np.float32), np.zeros((2, 2), np.uint8)]
)
def test_other_depth_is_refused(depth):
    with pytest.raises(InvalidInputError, match=r"depth: expected \(H, W\) uint16"):
        depth_in_metres(depth)


@pytest.mark.parametrize("values", [(0, 1, 0, 0), (1, -1, 0, 0), (1, 1, np.nan, 0)])
def test_impossible_cameras(values):
    with pytest.raises(InvalidInputError, match="camera: expected finite fx, fy > 0"):
        PinholeCamera(*values)


def test_sizes_must_agree():
    depth, visible, _ = render(TARGET)
    with pytest.raises(InvalidInputError, match="mask"):
        visible_depths(depth, visible[:-1])
    with pytest.raises(InvalidInputError, match="stride"):
        object_cloud(depth, visible, visible, CAMERA, stride=0)
