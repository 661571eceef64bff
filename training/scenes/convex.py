# SPDX-License-Identifier: Apache-2.0
"""Meshes as a few convex pieces, which physics can let fall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from training.scenes.meshes import Array

_HULL_POINTS = 32
_SOLID = 0.55  # a part that fills this share of its convex hull is not cut up
_CUTS = 3


def convex_pieces(vertices: Array, faces: NDArray[np.int64]) -> list[Array]:
    """Points of convex hulls that together are about the mesh; thin ones are made 1 mm thick."""
    corners = vertices[faces]
    a, b, c = (corners[:, k] for k in range(3))
    volume = abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6))
    whole = _hull(vertices[np.unique(faces)])
    cuts = 0 if volume > _SOLID * whole[1] else _CUTS
    groups = [np.arange(len(faces))]
    centres = corners.mean(axis=1)
    for _ in range(cuts):
        halves = []
        for group in groups:
            axis = int(np.ptp(centres[group], axis=0).argmax())
            middle = np.ptp(centres[group, axis]) / 2 + centres[group, axis].min()
            above = centres[group, axis] > middle
            halves += [part for part in (group[above], group[~above]) if len(part)]
        groups = halves
    if len(groups) == 1:
        return [whole[0]]
    return [_hull(vertices[np.unique(faces[group])])[0] for group in groups]


def _hull(points: Array) -> tuple[Array, float]:
    """Some corners of the convex hull, and its volume."""
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):
        thick = np.concatenate(
            [points + 5e-4 * np.eye(3)[k] * s for k in range(3) for s in (1, -1)]
        )
        hull = ConvexHull(thick)
        points = thick
    corners = points[hull.vertices]
    if len(corners) > _HULL_POINTS:
        directions = np.random.default_rng(0).normal(size=(_HULL_POINTS, 3))
        corners = corners[np.unique((corners @ directions.T).argmax(axis=0))]
    if np.linalg.matrix_rank(corners - corners.mean(axis=0), tol=2e-4) < 3:
        corners = np.concatenate(
            [corners + 5e-4 * np.eye(3)[k] * s for k in range(3) for s in (1, -1)]
        )
    return corners, float(hull.volume)
