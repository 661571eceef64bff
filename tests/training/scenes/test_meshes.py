# SPDX-License-Identifier: Apache-2.0
"""Solids made here are closed, look outwards, and have the volume that geometry gives them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from training.scenes.cutlery import CUTLERY
from training.scenes.handtools import HAND_TOOLS
from training.scenes.meshes import (
    Mesh,
    about,
    box,
    curve,
    extrude,
    lathe,
    loft,
    rod,
    superquadric,
    triangulate,
    tube,
    volume,
)
from training.scenes.props import Shape, corner_normals
from training.scenes.solids import SOLIDS
from training.scenes.stationery import STATIONERY
from training.scenes.vessels import VESSELS
from training.scenes.wires import WIRES

STAR = [
    (np.cos(a) * r, np.sin(a) * r)
    for a, r in zip(np.arange(10) * np.pi / 5, [2, 0.8] * 5, strict=True)
]

MAKERS = sorted(
    {*VESSELS, *SOLIDS, *STATIONERY, *CUTLERY, *HAND_TOOLS, *WIRES}, key=lambda m: m.__name__
)


def open_edges(mesh: Mesh) -> int:
    """Edges of the welded surface that are not met once in each direction."""
    _, index = np.unique(np.round(mesh.vertices, 7), axis=0, return_inverse=True)
    faces = index.reshape(-1)[mesh.faces]
    count: dict[tuple[int, int], int] = {}
    for a, b, c in faces.tolist():
        for start, end in ((a, b), (b, c), (c, a)):
            if start != end:
                low, high = min(start, end), max(start, end)
                count[low, high] = count.get((low, high), 0) + (1 if start < end else -1)
    return sum(value != 0 for value in count.values())


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        (box((1, 2, 3), (5, 6, 7)), 6.0),
        (lathe([(0, 0), (1, 0), (1, 2), (0, 2)], 400), 2 * np.pi),
        (lathe([(1, 0), (2, 0), (2, 1), (1, 1), (1, 0)], 400), 3 * np.pi),
        (tube([(0, 0, 0), (0, 0, 1), (0, 0, 3)], 0.5, sides=400), 0.75 * np.pi),
        (tube([(0, 0, 0), (0, 3, 0)], 1.0, sides=400, flatten=0.5), 1.5 * np.pi),
        (superquadric((2, 2, 2)), 4 / 3 * np.pi),
        (superquadric((2, 4, 6), 0.5, 0.5), 38.6),
        (superquadric((2, 2, 2), 0.1, 0.1), 7.83),
        (rod([(1, 0.5), (4, 0.5)], 400), 0.75 * np.pi),
        (
            loft([[(x, y, z) for x, y in ((0, 0), (2, 0), (2, 1), (0, 1))] for z in (0, 1, 5)]),
            10.0,
        ),
        (extrude([(0, 0), (3, 0), (3, 1), (1, 1), (1, 4), (0, 4)], 2), 12.0),
        (extrude([(0, 4), (1, 4), (1, 1), (3, 1), (3, 0), (0, 0)], 2), 12.0),
    ],
)
def test_volumes(mesh: Mesh, expected: float) -> None:
    assert volume(mesh) == pytest.approx(expected, rel=0.02)
    assert open_edges(mesh) == 0
    assert mesh.uv.shape == (len(mesh.vertices), 2)


def test_ring_of_a_rod() -> None:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = np.stack([2 * np.cos(angles), 2 * np.sin(angles), 0 * angles], axis=1)
    ring = tube(circle, 0.5, sides=60, closed=True)
    assert volume(ring) == pytest.approx(2 * np.pi * 2 * np.pi * 0.25, rel=0.02)
    assert open_edges(ring) == 0


def test_ears_of_a_star() -> None:
    points = np.array(STAR)
    triangles = triangulate(points)
    assert triangles.shape == (8, 3)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    areas = 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    assert (areas > 0).all()
    x, y = points.T
    whole = 0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    assert areas.sum() == pytest.approx(whole)


def test_curves_pass_their_points() -> None:
    points = np.array([(0, 0), (1, 2), (4, 1), (5, 5.0)])
    line = curve(points, 31)
    assert np.allclose(line[::10], points)
    assert np.allclose(curve([(0, 0), (1, 1)], 5), np.linspace((0, 0), (1, 1), 5))


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_rotations(axis: str) -> None:
    rotation = about(axis, 30)
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert np.allclose(np.linalg.matrix_power(about(axis, 90), 4), np.eye(3))
    fixed = np.eye(3)["xyz".index(axis)]
    assert np.allclose(rotation @ fixed, fixed)
    following = np.eye(3)[("xyz".index(axis) + 1) % 3]
    third = np.eye(3)[("xyz".index(axis) + 2) % 3]
    assert np.allclose(about(axis, 90) @ following, third)


def test_normals_are_smooth_or_sharp() -> None:
    cube = box((2, 2, 2))
    normals = corner_normals(cube)
    corners = cube.vertices[cube.faces]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    assert np.allclose(normals, faces[:, None])
    ball = superquadric((2, 2, 2))
    outward = np.einsum("fcd,fcd->fc", corner_normals(ball), ball.vertices[ball.faces])
    assert outward.min() > 0.9
    assert np.median(outward) > 0.999


@pytest.mark.parametrize("maker", MAKERS)
def test_household_shapes(maker) -> None:
    for seed in range(3):
        shape: Shape = maker(np.random.default_rng(seed))
        again: Shape = maker(np.random.default_rng(seed))
        points = np.concatenate([mesh.vertices for mesh, _ in shape.parts])
        same = np.concatenate([mesh.vertices for mesh, _ in again.parts])
        assert (points == same).all()
        assert np.isfinite(points).all()
        assert 0.04 < np.ptp(points, axis=0).max() < 0.5
        for mesh, slot in shape.parts:
            assert volume(mesh) > 0
            assert open_edges(mesh) == 0
            assert slot in {"main", "second", "label", "dark", "paper", "metal", "wood", "clear"}
            assert mesh.faces.max() < len(mesh.vertices)
        if shape.inside is not None:
            radius, floor = shape.inside
            assert 0 < radius < np.ptp(points[:, :2], axis=0).max() / 2
            assert 0 < floor < points[:, 2].max()


def test_every_call_makes_another_shape() -> None:
    for maker, other in itertools.product(MAKERS, [1, 2]):
        first, second = (maker(np.random.default_rng(s)).parts[0][0] for s in (0, other))
        same_size = first.vertices.shape == second.vertices.shape
        assert not (same_size and np.allclose(first.vertices, second.vertices))
