# SPDX-License-Identifier: Apache-2.0
"""Which depths are an object's, in scenes rendered by casting a ray through each pixel."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.depth.camera import PinholeCamera
from amodal_ros.depth.pixels import depth_in_metres, visible_depths
from amodal_ros.errors import InvalidInputError

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


def test_a_long_object_that_leads_away_is_the_object_to_its_end():
    """A pan: most of it at one depth, and a handle that runs on far beyond three deviations."""
    depth = np.full(HW, WALL_M, np.float32)
    visible = np.zeros(HW, bool)
    visible[100:140, 100:160] = True
    visible[118:122, 160:230] = True
    depth[100:140, 100:160] = 1.0
    depth[118:122, 160:230] = 1.0 + 0.004 * np.arange(1, 71)
    _, _, depths = visible_depths(depth, visible)
    assert depths.max() == pytest.approx(1.28, abs=1e-3)
    # Behind a step, as the wall would be, it is left out.
    depth[118:122, 160:230] += 0.1
    _, _, depths = visible_depths(depth, visible)
    assert depths.max() == pytest.approx(1.0)
    # Within the object's reach, as a bowl's inside, it is not, if it is much.
    _, _, depths = visible_depths(depth, visible, reach=0.5)
    assert depths.max() == pytest.approx(1.38, abs=0.01)


def test_sizes_must_agree():
    depth, visible, _ = render(TARGET, OCCLUDER)
    with pytest.raises(InvalidInputError, match="mask"):
        visible_depths(depth, visible[:-1])
