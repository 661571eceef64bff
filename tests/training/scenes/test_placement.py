# SPDX-License-Identifier: Apache-2.0
"""Props rest on the table or on one another and do not run into each other."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial import Delaunay

from training.scenes.meshes import box, lathe, superquadric
from training.scenes.placement import CELL_M, Placed, arrange
from training.scenes.props import Look, Prop, corner_normals
from training.scenes.views import draw_views

LOOK = Look(np.ones(3, np.float32), None, 0.5)


def prop(mesh, upright: float = 1.0, flat_top: bool = False, inside=None) -> Prop:
    return Prop("x", [(mesh, corner_normals(mesh), LOOK)], upright, flat_top, inside)


def placed_points(item: Placed) -> np.ndarray:
    return item.prop.points() @ item.rotation.T + item.position


@pytest.mark.parametrize("seed", range(4))
def test_footprints_keep_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    props = [prop(box(rng.uniform(0.03, 0.2, 3)), upright=0.6) for _ in range(14)]
    placed = arrange(props, rng)
    assert [item.prop for item in placed] == props
    outlines = []
    for item in placed:
        points = placed_points(item)
        assert points[:, 2].min() == pytest.approx(0, abs=1e-9)
        assert np.allclose(item.rotation @ item.rotation.T, np.eye(3))
        assert np.linalg.det(item.rotation) == pytest.approx(1)
        outlines.append(cv2.convexHull(points[:, :2].astype(np.float32)))
    for k, first in enumerate(outlines):
        for second in outlines[:k]:
            area, shared = cv2.intersectConvexConvex(first, second)
            if area > 0:  # by the width of a cell or two
                assert cv2.minAreaRect(shared)[1][0] < 3 * CELL_M or (
                    cv2.minAreaRect(shared)[1][1] < 3 * CELL_M
                )
    spread = np.ptp([item.position[:2] for item in placed], axis=0)
    assert spread.max() < 1.5


def test_groups_larger_than_the_grid_are_placed_too() -> None:
    for seed in range(3):
        props = [prop(box((0.5, 0.45, 0.1)))] * 20
        placed = arrange(props, np.random.default_rng(seed))
        assert len(placed) == 20
        places = np.array([item.position[:2] for item in placed])
        assert np.isfinite(places).all()
        assert np.ptp(places, axis=0).max() > 1.2


def test_bodies_lie_on_a_face() -> None:
    """A thrown brick comes to rest on one of its sides, not on an edge."""
    size = np.array([0.05, 0.1, 0.2])
    seen = set()
    for seed in range(12):
        (item,) = arrange([prop(box(size), upright=0.0)], np.random.default_rng(seed))
        height = float(np.ptp(placed_points(item)[:, 2]))
        if min(abs(height - size)) < 1e-9:
            seen.add(int(np.argmin(abs(height - size))))
    assert seen >= {0, 1}  # large faces are likelier than small ones


def test_things_stand_on_things() -> None:
    low = box((0.2, 0.2, 0.05), (0, 0, 0.025))
    small = box((0.03, 0.03, 0.03))
    heights = []
    for seed in range(20):
        pair = [prop(low, flat_top=True), prop(small)]
        on = arrange(pair, np.random.default_rng(seed))[1]
        points = placed_points(on)
        heights.append(round(float(points[:, 2].min()), 6))
        if heights[-1] > 0:
            assert abs(points[:, :2]).max() < 0.1 * np.sqrt(2)
    assert set(heights) == {0.0, 0.05}


def test_things_lie_in_bowls() -> None:
    bowl = lathe([(0, 0), (0.1, 0), (0.1, 0.06), (0.09, 0.06), (0.09, 0.01), (0, 0.01)])
    heights = {0.0}
    for seed in range(20):
        pair = [prop(bowl, inside=(0.09, 0.01)), prop(box((0.04, 0.04, 0.04)))]
        points = placed_points(arrange(pair, np.random.default_rng(seed))[1])
        heights.add(round(float(points[:, 2].min()), 6))
        if points[:, 2].min() > 0.001:
            assert np.hypot(*points[:, :2].T).max() < 0.09
    assert heights == {0.0, 0.01}


def test_cameras_look_down_at_the_group() -> None:
    rng = np.random.default_rng(3)
    placed = arrange([prop(box((0.08, 0.08, 0.1))) for _ in range(8)], rng)
    views = draw_views(placed, 60, rng)
    points = np.concatenate([placed_points(item) for item in placed])
    seen = []
    for view in views:
        camera = view.camera()
        assert -88 <= view.elevation <= -10
        assert 30 <= view.fovy <= 60
        assert camera.eye[2] > 0
        axes = np.stack([camera.right, camera.up, camera.forward])
        assert np.allclose(axes @ axes.T, np.eye(3))
        away = points - camera.eye
        assert np.linalg.norm(camera.eye - view.lookat) == pytest.approx(view.distance)
        assert np.allclose(np.cross(camera.forward, view.lookat - camera.eye), 0)
        half = np.tan(np.radians(view.fovy / 2)) * (away @ camera.forward)
        seen.append(np.mean((abs(away @ camera.up) < half) & (abs(away @ camera.right) < half)))
    assert np.mean(seen) > 0.6
    assert min(seen) < 0.9  # the picture's border hides some
    assert {view.elevation < -50 for view in views} == {False, True}


@pytest.mark.rendering
def test_what_falls_lies_on_the_table_or_on_other_things() -> None:
    from training.scenes.settling import settle

    bricks = [prop(box((0.12, 0.06, 0.04)), upright=0.5) for _ in range(6)]
    placed = settle(bricks, np.random.default_rng(1))
    assert len(placed) >= 4
    lows = []
    for item in placed:
        assert np.allclose(item.rotation @ item.rotation.T, np.eye(3), atol=1e-6)
        lows.append(placed_points(item)[:, 2].min())
    assert min(lows) == pytest.approx(0, abs=0.004)
    assert min(lows) > -0.004
    again = settle(bricks, np.random.default_rng(1))
    assert all((a.position == b.position).all() for a, b in zip(placed, again, strict=True))


@pytest.mark.rendering
def test_a_mug_stays_hollow() -> None:
    from training.scenes.settling import convex_pieces

    mug = lathe([(0, 0), (0.04, 0), (0.04, 0.09), (0.036, 0.09), (0.036, 0.004), (0, 0.004)])
    pieces = convex_pieces(mug.vertices, mug.faces)
    assert len(pieces) > 3
    ball = superquadric((0.1, 0.1, 0.1))
    assert len(convex_pieces(ball.vertices, ball.faces)) == 1
    inside = np.array([0.0, 0.0, 0.06])
    assert all(Delaunay(piece).find_simplex(inside) < 0 for piece in pieces)
