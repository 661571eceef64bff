# SPDX-License-Identifier: Apache-2.0
"""Wavefront OBJ and MTL to triangles by material, and the shape checks for models."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_GRID = 40
_POINTS = 30_000


@dataclass(frozen=True, eq=False)
class MaterialMesh:
    """Triangles that share a material.

    Attributes:
        vertices: (V, 3) float64.
        texture_uv: (V, 2) float64, zeros where the file has none.
        faces: (F, 3) int64 into the vertices.
        colour: diffuse RGB in [0, 1].
        shine: specular strength in [0, 1].
        texture: member name of the diffuse texture, or "".
    """

    vertices: np.ndarray
    texture_uv: np.ndarray
    faces: np.ndarray
    colour: tuple[float, float, float]
    shine: float
    texture: str


@dataclass
class _Material:
    colour: tuple[float, float, float] = (0.7, 0.7, 0.7)
    shine: float = 0.1
    texture: str = ""


def parse_obj(member: str, read: Callable[[str], bytes]) -> list[MaterialMesh]:
    """Reads an OBJ with its MTL files.

    Args:
        member: name of the OBJ.
        read: ``(name) -> bytes`` for it and the MTL beside it.

    Returns:
        Meshes of at least one triangle each, y up as in the file.

    Raises:
        ValueError: if a line cannot be understood or an index is out of range.
    """
    vertices: list[list[float]] = []
    textures: list[list[float]] = []
    corners: dict[str, list[tuple[int, int]]] = {}
    materials: dict[str, _Material] = {}
    current = corners.setdefault("", [])
    for line in read(member).decode("utf-8", "replace").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(w) for w in words[1:4]])
        elif words[0] == "vt":
            textures.append([float(w) for w in words[1:3]])
        elif words[0] == "f":
            polygon = [_corner(w, len(vertices), len(textures)) for w in words[1:]]
            for second in range(1, len(polygon) - 1):
                current += (polygon[0], polygon[second], polygon[second + 1])
        elif words[0] == "usemtl":
            current = corners.setdefault(" ".join(words[1:]), [])
        elif words[0] == "mtllib":
            name = posixpath.join(posixpath.dirname(member), " ".join(words[1:]))
            materials |= _parse_mtl(name, read(name).decode("utf-8", "replace"))
    return _meshes(np.array(vertices), np.array(textures), corners, materials)


def _corner(word: str, vertices: int, textures: int) -> tuple[int, int]:
    parts = word.split("/")
    vertex = int(parts[0])
    texture = int(parts[1]) if len(parts) > 1 and parts[1] else 0
    vertex = vertex - 1 if vertex > 0 else vertices + vertex
    texture = texture - 1 if texture >= 0 else textures + texture
    if vertex < 0 or texture < -1:
        raise ValueError(f"face corner {word!r}: expected indices within {vertices}, {textures}")
    return vertex, texture  # upper bounds are checked at the end: faces may come first


def _meshes(
    vertices: np.ndarray,
    textures: np.ndarray,
    corners: dict[str, list[tuple[int, int]]],
    materials: dict[str, _Material],
) -> list[MaterialMesh]:
    meshes = []
    for name, group in corners.items():
        if not group:
            continue
        unique, index = np.unique(np.array(group), axis=0, return_inverse=True)
        largest = unique.max(axis=0)
        if largest[0] >= len(vertices) or largest[1] >= len(textures):
            raise ValueError(
                f"face corner {largest[0] + 1}/{largest[1] + 1}: expected indices within "
                f"{len(vertices)}, {len(textures)}"
            )
        uv = np.zeros((len(unique), 2))
        known = unique[:, 1] >= 0
        if known.any():
            uv[known] = textures[unique[known, 1]]
        material = materials.get(name, _Material())
        meshes.append(
            MaterialMesh(
                vertices=vertices[unique[:, 0]].reshape(-1, 3),
                texture_uv=uv,
                faces=index.reshape(-1, 3),
                colour=material.colour,
                shine=material.shine,
                texture=material.texture if known.any() else "",
            )
        )
    if not meshes:
        raise ValueError("expected faces, found none")
    return meshes


def _parse_mtl(member: str, text: str) -> dict[str, _Material]:
    materials: dict[str, _Material] = {}
    current = _Material()
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "newmtl":
            current = materials.setdefault(" ".join(words[1:]), _Material())
        elif words[0] == "Kd" and len(words) >= 4:
            red, green, blue = (float(np.clip(float(w), 0, 1)) for w in words[1:4])
            current.colour = (red, green, blue)
        elif words[0] == "Ks" and len(words) >= 4:
            current.shine = float(np.clip(float(words[1]), 0, 1))
        elif words[0] == "map_Kd" and len(words) > 1:
            current.texture = posixpath.join(posixpath.dirname(member), " ".join(words[1:]))
    return materials


def shape_reason(meshes: list[MaterialMesh]) -> str:
    """Why a model makes no good object: "model_flat", "model_disconnected", or "".

    Flat: thinner than 4 % of its length. Disconnected: of points spread evenly over its
    surface, fewer than 97 % hang together in a grid of 40 cells with gaps of a cell bridged.
    """
    points = surface_points(meshes)
    low, high = points.min(axis=0), points.max(axis=0)
    extent = high - low
    if not np.isfinite(extent).all() or extent.min() < 0.04 * extent.max():
        return "model_flat"
    cells = ((points - low) / extent.max() * (_GRID - 1)).astype(np.int64) + 2
    grid = np.zeros((_GRID + 4,) * 3, bool)
    grid[tuple(cells.T)] = True
    solid = _grow(grid)
    label = np.zeros(grid.shape, np.int64)
    largest, number = 0, 0
    while (rest := solid & (label == 0) & grid).any():
        number += 1
        piece = np.zeros_like(solid)
        piece[np.unravel_index(int(rest.argmax()), rest.shape)] = True
        while True:
            grown = _grow(piece) & solid
            if (grown == piece).all():
                break
            piece = grown
        label[piece] = number
        largest = max(largest, int(np.count_nonzero(piece[tuple(cells.T)])))
        if number > 30:
            break
    return "" if largest >= 0.97 * len(points) else "model_disconnected"


def surface_points(meshes: list[MaterialMesh]) -> np.ndarray:
    """(P, 3) float64 points spread evenly, and the same every time, over all triangles."""
    triangles = np.concatenate([mesh.vertices[mesh.faces] for mesh in meshes])
    a, b = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    areas = 0.5 * np.linalg.norm(np.cross(a, b), axis=1)
    rng = np.random.default_rng(0)
    if not np.isfinite(areas).all() or areas.sum() <= 0:
        return triangles.reshape(-1, 3)
    pick = rng.choice(len(triangles), _POINTS, p=areas / areas.sum())
    u, v = np.sqrt(rng.random((_POINTS, 1))), rng.random((_POINTS, 1))
    return triangles[pick, 0] + u * ((1 - v) * a[pick] + v * b[pick])


def _grow(grid: np.ndarray) -> np.ndarray:
    """26-neighbour dilation; the border of the grid is empty by construction."""
    for axis in range(3):
        grid = grid | np.roll(grid, 1, axis) | np.roll(grid, -1, axis)
    return grid
