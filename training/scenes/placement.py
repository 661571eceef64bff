# SPDX-License-Identifier: Apache-2.0
"""Where props stand: at rest on the table, close together, some touching, a few on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from training.scenes.meshes import Array, Rng, about
from training.scenes.props import Prop

CELL_M = 0.003
_CELLS = 600
_HULL_POINTS = 600
_ON_TOP = 0.4
_IN_HOLLOW = 0.35
_FREELY_TURNED = 0.05


@dataclass(frozen=True, eq=False)
class Placed:
    """A prop in its place.

    Attributes:
        prop: what it is.
        rotation: (3, 3).
        position: (3,) metres, added after turning.
    """

    prop: Prop
    rotation: Array
    position: Array


def arrange(props: Sequence[Prop], rng: Rng) -> list[Placed]:
    """Place props one after the other on z = 0, around the origin.

    No two footprints (convex, seen from above) overlap, but for props put on top of others.
    """
    ground = _Ground(tries=int(rng.choice([1, 1, 2, 6])))
    placed: list[Placed] = []
    hosts: list[tuple[Array, float, float]] = []
    for prop in props:
        pose, upright = _pose(prop, rng)
        points = prop.points() @ pose.T
        low = points[:, 2].min()
        outline = cv2.convexHull(points[:, :2].astype(np.float32))[:, 0].astype(np.float64)
        centre = (outline.min(axis=0) + outline.max(axis=0)) / 2
        reach = float(np.linalg.norm(outline - centre, axis=1).max())
        fitting = [k for k, (_, room, _) in enumerate(hosts) if reach < room]
        host = hosts.pop(fitting[0]) if fitting and rng.random() < 0.7 else None
        if host is not None:
            place, height = host[0] + rng.uniform(-0.3, 0.3, 2) * (host[1] - reach), host[2]
        else:
            place, height = ground.put(outline - centre, rng), 0.0
        position = np.array([*(place - centre), height - low])
        placed.append(Placed(prop, pose, position))
        if upright and host is None:
            top = float(points[:, 2].max() - low)
            if prop.flat_top and rng.random() < _ON_TOP:
                hosts.append((place, _inner_reach(outline - centre), top))
            elif prop.inside is not None and rng.random() < _IN_HOLLOW:
                hosts.append((place, prop.inside[0], prop.inside[1]))
    return placed


def _pose(prop: Prop, rng: Rng) -> tuple[Array, bool]:
    """A rotation, and whether the prop stands as modelled."""
    yaw = about("z", float(rng.uniform(0, 360)))
    if rng.random() < prop.upright:
        return yaw, True
    if rng.random() < _FREELY_TURNED:
        return any_rotation(rng), False
    return yaw @ _resting(prop.points(), rng), False


def _resting(points: Array, rng: Rng) -> Array:
    """Rotation that lays a body on a face of its convex hull on which it can rest."""
    some = points[rng.choice(len(points), min(len(points), _HULL_POINTS), replace=False)]
    try:
        hull = ConvexHull(some)
    except QhullError:  # flat as a sheet: it stays as it is
        return np.eye(3)
    corners = some[hull.simplices]
    normals, offsets = hull.equations[:, :3], hull.equations[:, 3]
    centre = some[hull.vertices].mean(axis=0)
    foot = centre - (normals @ centre + offsets)[:, None] * normals
    sides = []
    for k in range(3):
        start, end = corners[:, k], corners[:, (k + 1) % 3]
        sides.append(np.einsum("ij,ij->i", np.cross(end - start, foot - start), normals))
    inside = (np.min(sides, axis=0) >= -1e-12) | (np.max(sides, axis=0) <= 1e-12)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    weight = np.linalg.norm(cross, axis=1) * inside
    if weight.sum() <= 0:
        return np.eye(3)
    return _turning(
        normals[rng.choice(len(weight), p=weight / weight.sum())], np.array([0, 0, -1.0])
    )


def _turning(start: Array, end: Array) -> Array:
    """(3, 3) rotation that takes one unit vector to another."""
    axis, cosine = np.cross(start, end), float(start @ end)
    if cosine < -1 + 1e-9:
        return about("x", 180) if abs(start[0]) < 0.9 else about("y", 180)
    x, y, z = axis
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def any_rotation(rng: Rng) -> Array:
    """(3, 3) rotation, any as likely as any other."""
    matrix, upper = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    return matrix if np.linalg.det(matrix) > 0 else matrix[:, [1, 0, 2]]


def _inner_reach(outline: Array) -> float:
    """Distance from the origin to the nearest side of a convex outline."""
    follow = np.roll(outline, -1, axis=0)
    cross = outline[:, 0] * follow[:, 1] - outline[:, 1] * follow[:, 0]
    return float(
        np.min(np.abs(cross) / np.maximum(np.linalg.norm(follow - outline, axis=1), 1e-9))
    )


class _Ground:
    """The table from above as a grid; knows which cells are taken."""

    def __init__(self, tries: int) -> None:
        """With more `tries` props stand closer together."""
        self._tries = tries
        self._taken = np.zeros((_CELLS, _CELLS), np.uint8)
        self._centres: list[Array] = []

    def put(self, outline: Array, rng: Rng) -> Array:
        """Finds a free place near what is there already; (2,) metres.

        Args:
            outline: (P, 2) convex footprint about its middle, metres.
            rng: for direction and distance.
        """
        gap = rng.choice(
            [0.0, rng.uniform(0.002, 0.015), rng.uniform(0.015, 0.06)], p=[0.4, 0.3, 0.3]
        )
        print_, offset = _footprint(outline, 0.0)
        place = np.zeros(2)
        if self._centres:
            middle = np.mean(self._centres, axis=0)
            places = []
            for _ in range(self._tries):
                start = self._centres[rng.integers(len(self._centres))] * rng.uniform(0.3, 1.0)
                angle = rng.uniform(0, 2 * np.pi)
                along = np.array([np.cos(angle), np.sin(angle)])
                places.append(self._first_free(start, along, outline, gap))
            place = min(places, key=lambda at: float(np.linalg.norm(at - middle)))
        x, y = _corner(place, offset, print_)
        self._taken[y : y + print_.shape[0], x : x + print_.shape[1]] |= print_
        self._centres.append(place)
        return place

    def _first_free(self, start: Array, along: Array, outline: Array, gap: float) -> Array:
        print_, offset = _footprint(outline, gap)
        height, width = print_.shape
        step = 0
        while True:
            place = start + along * (step * CELL_M)
            x, y = _corner(place, offset, print_)
            if not (self._taken[y : y + height, x : x + width] & print_).any() or step > _CELLS:
                return place
            step += 1


def _corner(place: Array, offset: NDArray[np.int64], print_: NDArray[np.uint8]) -> tuple[int, int]:
    """First column and row of a footprint whose middle is at `place`; the grid's edge stops it."""
    x, y = np.round(place / CELL_M).astype(int) + _CELLS // 2 - offset
    height, width = print_.shape
    return int(np.clip(x, 0, _CELLS - width)), int(np.clip(y, 0, _CELLS - height))


def _footprint(outline: Array, gap: float) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Cells under an outline grown by a gap, and the cell (x, y) of its middle."""
    radius = round(gap / CELL_M)
    cells = np.round(outline / CELL_M).astype(int)
    offset = -cells.min(axis=0) + radius + 1
    size = cells.max(axis=0) - cells.min(axis=0) + 2 * radius + 3
    image = np.zeros((int(size[1]), int(size[0])), np.uint8)
    cv2.fillConvexPoly(image, (cells + offset).astype(np.int32), 1)
    if radius:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
        image = cv2.dilate(image, kernel).astype(np.uint8)
    return image, offset
