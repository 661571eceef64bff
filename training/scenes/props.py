# SPDX-License-Identifier: Apache-2.0
"""Objects of a scene: shapes as they are made, and props, which have sizes and materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.scenes.meshes import Array, Mesh

Slot = str
"""What a material is for: "main" and "second" (of any kind), "label" (all round or on each side),
"dark", "paper", "metal", "wood" or "clear"."""
Parts = list[tuple[Mesh, Slot]]
_CREASE_DEG = 40.0


@dataclass(frozen=True, eq=False)
class Shape:
    """An object made here; metres, z up, its main pose standing.

    Attributes:
        kind: its category.
        parts: meshes with their material slots.
        flat_top: other props may stand on it.
        inside: radius and floor height of a hollow that other props may lie in, metres.
    """

    kind: str
    parts: Sequence[tuple[Mesh, Slot]]
    flat_top: bool = False
    inside: tuple[float, float] | None = None
    upright: float = field(default=0.8)


@dataclass(frozen=True, eq=False)
class Look:
    """A material.

    Attributes:
        colour: (3,) RGB in [0, 1], multiplied with the texture.
        texture: (H, W, 3) uint8 RGB, or None.
        roughness: 0 (polished) to 1 (matt).
        metal: whether light is mirrored in the material's own colour.
        clear: whether one looks through.
    """

    colour: NDArray[np.float32]
    texture: NDArray[np.uint8] | None
    roughness: float
    metal: bool = False
    clear: bool = False


Part = tuple[Mesh, Array, Look]
"""Mesh, (F, 3, 3) normals at the faces' corners, and look."""


@dataclass(frozen=True, eq=False)
class Prop:
    """An object of a scene.

    Attributes:
        category: what it is counted as: the model's id or the shape's kind.
        parts: a mesh for each material.
        upright: probability that it stands as modelled.
        flat_top: other props may stand on it when it stands.
        inside: radius and floor height of a hollow, metres, or None.
    """

    category: str
    parts: Sequence[Part]
    upright: float
    flat_top: bool
    inside: tuple[float, float] | None

    def points(self) -> Array:
        """(V, 3) all vertices."""
        return np.concatenate([mesh.vertices for mesh, _, _ in self.parts])


def corner_normals(mesh: Mesh) -> Array:
    """(F, 3, 3) unit normals: smooth over a surface, sharp where faces meet at more than a crease.

    Corners at the same place (whatever their texture coordinates) take part with the weight of
    their face's area.
    """
    corners = mesh.vertices[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-15)
    size = max(float(np.ptp(mesh.vertices, axis=0).max()), 1e-9)
    places = np.round(corners.reshape(-1, 3) / size * 2e4).astype(np.int64)
    key = (places[:, 0] * 73_856_093) ^ (places[:, 1] * 19_349_663) ^ (places[:, 2] * 83_492_791)
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first = np.flatnonzero(starts)[np.cumsum(starts) - 1]
    count = np.append(np.flatnonzero(starts)[1:], len(order))[np.cumsum(starts) - 1] - first
    rank = np.arange(len(order)) - first
    face = order // 3
    total = np.zeros((len(order), 3))
    limit = np.cos(np.radians(_CREASE_DEG))
    for step in range(min(int(count.max()), 16)):
        other = face[first + (rank + step) % count]
        near = ((unit[other] * unit[face]).sum(axis=1) > limit) & (step < count)
        total += cross[other] * near[:, None]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    total = np.where(length > 1e-15, total / np.maximum(length, 1e-15), unit[face])
    normals = np.empty_like(total)
    normals[order] = total
    return normals.reshape(-1, 3, 3)
