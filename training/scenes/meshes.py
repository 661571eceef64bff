# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes and how to make them: turning, sweeping, extruding, boxes, superquadrics.

z is up; triangles are counter-clockwise seen from outside; every mesh is closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles.

    Attributes:
        vertices: (V, 3) float64.
        faces: (F, 3) int64 into the vertices.
        uv: (V, 2) float64 texture coordinates.
    """

    vertices: Array
    faces: NDArray[np.int64]
    uv: Array

    def moved(self, x: float, y: float, z: float) -> Mesh:
        """Shifted."""
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def turned(self, rotation: Array) -> Mesh:
        """Turned by a (3, 3) rotation."""
        return replace(self, vertices=self.vertices @ rotation.T)

    def stretched(self, x: float, y: float, z: float) -> Mesh:
        """Scaled by positive factors."""
        return replace(self, vertices=self.vertices * (x, y, z))


def about(axis: str, degrees: float) -> Array:
    """(3, 3) rotation about ``"x"``, ``"y"`` or ``"z"``."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def curve(points: ArrayLike, samples: int) -> Array:
    """(samples, D) points of a Catmull-Rom spline through `points` (P, D)."""
    knots = np.asarray(points, np.float64)
    ends = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    place = np.linspace(0, len(knots) - 1, samples)
    number = np.minimum(place.astype(int), len(knots) - 2)
    t = (place - number)[:, None]
    a, b, c, d = (ends[number + k] for k in range(4))
    return 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )


def lathe(profile: ArrayLike, segments: int = 40) -> Mesh:
    """A solid of revolution about z.

    Args:
        profile: (P, 2) radius and height, from the axis at the bottom round the outside back to
            the axis (or, for a ring, closed).
        segments: around the axis.
    """
    points = np.asarray(profile, np.float64)
    angles = np.linspace(0, 2 * np.pi, segments + 1)
    round_z = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    vertices = np.concatenate(
        [points[:, None, :1] * round_z[None], np.repeat(points[:, None, 1:], segments + 1, 1)],
        axis=2,
    )
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)]) / max(float(steps.sum()), 1e-9)
    uv = np.stack(
        np.broadcast_arrays(np.linspace(0, 1, segments + 1)[None], along[:, None]), axis=2
    )
    return _grid(vertices, uv)


def tube(
    path: ArrayLike, radius: ArrayLike, sides: int = 12, flatten: float = 1.0, closed: bool = False
) -> Mesh:
    """A round or flattened rod along a path.

    Args:
        path: (P, 3).
        radius: one, or (P,).
        sides: of the cross-section.
        flatten: its height relative to its width.
        closed: the path comes back to its beginning, as a ring does; else the ends are capped.
    """
    line = np.asarray(path, np.float64)
    radii = np.broadcast_to(np.asarray(radius, np.float64), (len(line),))
    if closed:
        line, radii = np.concatenate([line, line[:1]]), np.append(radii, radii[0])
    ahead = np.gradient(line, axis=0)
    if closed:
        ahead[0] = ahead[-1] = line[1] - line[-2]
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-12)
    side, up = _frames(ahead)
    angles = np.linspace(0, 2 * np.pi, sides + 1)
    rings = line[:, None] + radii[:, None, None] * (
        np.cos(angles)[None, :, None] * side[:, None]
        + flatten * np.sin(angles)[None, :, None] * up[:, None]
    )
    along = np.linspace(0, 1, len(line))
    if not closed:
        caps = [np.repeat(line[[k]][:, None], sides + 1, axis=1) for k in (0, -1)]
        rings = np.concatenate([caps[0], rings, caps[1]])
        along = np.concatenate([[0.0], along, [1.0]])
    uv = np.stack(np.broadcast_arrays(angles[None] / (2 * np.pi), along[:, None]), axis=2)
    return _grid(rings, uv)


def loft(rings: ArrayLike) -> Mesh:
    """A closed skin over cross-sections (R, C, 3), each a closed line, its ends filled."""
    lines = np.asarray(rings, np.float64)
    lines = np.concatenate([lines, lines[:, :1]], axis=1)
    caps = [np.broadcast_to(lines[[k], :-1].mean(axis=1, keepdims=True), (1, *lines.shape[1:]))
            for k in (0, -1)]  # fmt: skip
    lines = np.concatenate([caps[0], lines, caps[1]])
    along = np.linspace(0, 1, len(lines))[:, None]
    uv = np.stack(np.broadcast_arrays(np.linspace(0, 1, lines.shape[1])[None], along), axis=2)
    mesh = _grid(lines, uv)
    return mesh if volume(mesh) > 0 else replace(mesh, faces=mesh.faces[:, ::-1])


def rod(points: ArrayLike, segments: int = 20) -> Mesh:
    """A solid of revolution along x: (P, 2) place along x and radius, from end to end."""
    line = np.asarray(points, np.float64)
    ends = [(0.0, line[0, 0]), *line[:, ::-1].tolist(), (0.0, line[-1, 0])]
    return lathe(ends, segments).turned(about("y", 90))


def disc(radius: float, low: float, high: float, segments: int = 40) -> Mesh:
    """A closed cylinder about z."""
    return lathe([(0, low), (radius, low), (radius, high), (0, high)], segments)


def hollow(inner: float, outer: float, low: float, high: float, segments: int = 40) -> Mesh:
    """A cylinder about z with a hole from end to end."""
    profile = [(inner, low), (outer, low), (outer, high), (inner, high), (inner, low)]
    return lathe(profile, segments)


def circle(radius: float, count: int) -> Array:
    """(count, 3) points about z, on z = 0."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], axis=1)


def arch(half: float, foot: float, rise: float, count: int) -> Array:
    """(count, 3) points of half an ellipse that stands along x, its ends at the height `foot`."""
    angle = np.linspace(0, np.pi, count)
    return np.stack([half * np.cos(angle), 0 * angle, foot + rise * np.sin(angle)], axis=1)


def superquadric(size: ArrayLike, east: float = 1.0, north: float = 1.0) -> Mesh:
    """From box (exponents near 0) over ellipsoid (1) to diamond (2), centred; `size` = extent."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, 21)[:, None]
    longitude = np.linspace(-np.pi, np.pi, 41)[None]

    def power(value: Array, exponent: float) -> Array:
        value = np.where(np.abs(value) < 1e-12, 0.0, value)  # else a seam stays open
        return np.sign(value) * np.abs(value) ** exponent

    ring = power(np.cos(latitude), north)
    ring[[0, -1]] = 0.0
    parts = np.broadcast_arrays(
        ring * power(np.cos(longitude), east),
        ring * power(np.sin(longitude), east),
        power(np.sin(latitude), north),
    )
    vertices = np.stack(parts, axis=2) * (np.asarray(size, np.float64) / 2)
    uv = np.stack(
        np.broadcast_arrays(longitude / (2 * np.pi) + 0.5, latitude / np.pi + 0.5), axis=2
    )
    return _grid(vertices, uv)


def box(size: ArrayLike, centre: ArrayLike = (0.0, 0.0, 0.0)) -> Mesh:
    """A cuboid of extent `size`; each side has the whole texture."""
    corners: list[Array] = []
    faces: list[list[list[int]]] = []
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    for axis in range(3):
        ahead, across, along = np.eye(3)[[axis, (axis + 1) % 3, (axis + 2) % 3]]
        for sign in (1, -1):
            first = 4 * len(faces)
            corners.append(sign * ahead + square[:, :1] * sign * across + square[:, 1:] * along)
            faces.append([[first, first + 1, first + 2], [first, first + 2, first + 3]])
    vertices = np.concatenate(corners) * (np.asarray(size, np.float64) / 2) + np.asarray(centre)
    return Mesh(vertices, np.array(faces).reshape(-1, 3), np.tile((square + 1) / 2.0, (6, 1)))


def extrude(outline: ArrayLike, thickness: float) -> Mesh:
    """A simple polygon (P, 2), in either sense of rotation, as a plate standing on z = 0."""
    points = np.asarray(outline, np.float64)
    if _signed_area(points) < 0:
        points = points[::-1]
    cap = triangulate(points)
    low, span = points.min(axis=0), float(np.ptp(points, axis=0).max())
    flat_uv = (points - low) / span
    count = len(points)
    level = np.zeros((count, 1))
    bottom = np.concatenate([points, level], axis=1)
    top = np.concatenate([points, level + thickness], axis=1)
    index = np.arange(count)
    follow = (index + 1) % count
    walls = np.concatenate(
        [
            np.stack([index, follow, follow + count], axis=1),
            np.stack([index, follow + count, index + count], axis=1),
        ]
    )
    faces = np.concatenate([cap[:, ::-1], cap + count, walls + 2 * count])
    vertices = np.concatenate([bottom, top, bottom, top])
    return Mesh(vertices, faces, np.concatenate([flat_uv] * 4))


def triangulate(points: Array) -> NDArray[np.int64]:
    """(P - 2, 3) triangles of a simple counter-clockwise polygon, by cutting ears."""
    left = list(range(len(points)))
    triangles = []
    while len(left) > 3:
        ear = next((k for k in range(len(left)) if _is_ear(points, left, k)), 0)
        triangles.append([left[ear - 1], left[ear], left[(ear + 1) % len(left)]])
        del left[ear]
    return np.array([*triangles, left])


def _is_ear(points: Array, left: list[int], k: int) -> bool:
    a, b, c = points[left[k - 1]], points[left[k]], points[left[(k + 1) % len(left)]]
    if _cross(b - a, c - a) <= 1e-12:
        return False
    skip = {left[k - 1], left[k], left[(k + 1) % len(left)]}
    others = points[[i for i in left if i not in skip]]
    inside = np.ones(len(others), bool)
    for start, end in ((a, b), (b, c), (c, a)):
        edge, away = end - start, others - start
        inside &= edge[0] * away[:, 1] - edge[1] * away[:, 0] >= -1e-12
    return not inside.any()


def _cross(a: Array, b: Array) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def _signed_area(points: Array) -> float:
    x, y = points.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _frames(ahead: Array) -> tuple[Array, Array]:
    """Two unit vectors across each direction, turning as little as possible along the path."""
    start = np.eye(3)[int(np.argmin(np.abs(ahead[0])))]
    sides = np.empty_like(ahead)
    side = start
    for k, direction in enumerate(ahead):
        side = side - direction * (side @ direction)
        side = side / max(float(np.linalg.norm(side)), 1e-12)
        sides[k] = side
    return sides, np.cross(ahead, sides)


def _grid(vertices: Array, uv: Array) -> Mesh:
    """Triangles of a (R, C, 3) grid of points; those without area (at poles) are left out."""
    rows, columns = vertices.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate(
        [np.stack([a, b, c], axis=2).reshape(-1, 3), np.stack([a, c, d], axis=2).reshape(-1, 3)]
    )
    points = vertices.reshape(-1, 3)
    corners = points[faces]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    faces = faces[area > 1e-12]
    return Mesh(points, faces, uv.reshape(-1, 2))


def volume(mesh: Mesh) -> float:
    """Signed volume: positive if the triangles look outwards."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
