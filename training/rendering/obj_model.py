# SPDX-License-Identifier: Apache-2.0
"""Wavefront OBJ and MTL to triangles by material, and the shape checks for models."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

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
        alpha: 1 where nothing shines through.
        sharpness: of highlights, 0 to 1.
        normals: (V, 3) float64, or None where the file has none or none were asked for.
    """

    vertices: np.ndarray
    texture_uv: np.ndarray
    faces: np.ndarray
    colour: tuple[float, float, float]
    shine: float
    texture: str
    alpha: float = 1.0
    sharpness: float = 0.1
    normals: np.ndarray | None = None


@dataclass
class _Material:
    colour: tuple[float, float, float] = (0.7, 0.7, 0.7)
    shine: float = 0.1
    texture: str = ""
    alpha: float = 1.0
    sharpness: float = 10 / 128


_LISTS = ("v", "vt", "vn")
Corner = tuple[int, ...]


def parse_obj(
    member: str, read: Callable[[str], bytes], with_normals: bool = False
) -> list[MaterialMesh]:
    """Reads an OBJ with its MTL files.

    Args:
        member: name of the OBJ.
        read: ``(name) -> bytes`` for it and the MTL beside it.
        with_normals: keep the file's normals; corners that differ in them alone are then apart.

    Returns:
        Meshes of at least one triangle each, y up as in the file.

    Raises:
        ValueError: if a line cannot be understood or an index is out of range.
    """
    kept = _LISTS if with_normals else _LISTS[:2]
    values: dict[str, list[list[float]]] = {key: [] for key in _LISTS}
    corners: dict[str, list[Corner]] = {}
    materials: dict[str, _Material] = {}
    current = corners.setdefault("", [])
    for line in read(member).decode("utf-8", "replace").splitlines():
        key, *words = line.split() or [""]
        if key in values:
            values[key].append([float(w) for w in words[:3]])
        elif key == "f":
            polygon = [_corner(w, [len(values[name]) for name in kept]) for w in words]
            for second in range(1, len(polygon) - 1):
                current += (polygon[0], polygon[second], polygon[second + 1])
        elif key == "usemtl":
            current = corners.setdefault(" ".join(words), [])
        elif key == "mtllib":
            name = posixpath.join(posixpath.dirname(member), " ".join(words))
            materials |= _parse_mtl(name, read(name).decode("utf-8", "replace"))
    arrays = [np.array(values[name], np.float64) for name in kept]
    meshes = [
        _mesh(arrays, group, materials.get(name, _Material()))
        for name, group in corners.items()
        if group
    ]
    if not meshes:
        raise ValueError("expected faces, found none")
    return meshes


def _corner(word: str, counts: list[int]) -> Corner:
    """`7/2/5`, `7//5`, `7/2` or `7`, counted from 1 or from the end, to indices; -1: absent."""
    numbers = [int(part) if part else 0 for part in word.split("/")] + [0, 0]
    places = [n - 1 if n >= 0 else count + n for n, count in zip(numbers, counts, strict=False)]
    if places[0] < 0 or min(places) < -1:
        raise ValueError(f"face corner {word!r}: expected indices within {counts}")
    return tuple(places)  # upper bounds are checked at the end: faces may come first


def _mesh(arrays: list[np.ndarray], group: list[Corner], material: _Material) -> MaterialMesh:
    unique, index = np.unique(np.array(group), axis=0, return_inverse=True)
    largest, counts = unique.max(axis=0), [len(array) for array in arrays]
    if (largest >= counts).any():
        raise ValueError(f"face corner {(largest + 1).tolist()}: expected indices within {counts}")
    uv = np.zeros((len(unique), 2))
    known = unique[:, 1] >= 0
    if known.any():
        uv[known] = arrays[1][unique[known, 1], :2]
    has_normals = len(arrays) > 2 and bool((unique[:, 2] >= 0).all())
    return MaterialMesh(
        vertices=arrays[0][unique[:, 0]].reshape(-1, 3),
        texture_uv=uv,
        faces=index.reshape(-1, 3),
        colour=material.colour,
        shine=material.shine,
        texture=material.texture if known.any() else "",
        alpha=material.alpha,
        sharpness=material.sharpness,
        normals=arrays[2][unique[:, 2]] if has_normals else None,
    )


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
        elif words[0] == "d" and len(words) > 1:
            current.alpha = float(np.clip(float(words[1]), 0, 1))
        elif words[0] == "Ns" and len(words) > 1:
            current.sharpness = float(np.clip(float(words[1]) / 128, 0, 1))
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
    near = np.ones((3, 3, 3), bool)
    pieces, _ = ndimage.label(ndimage.binary_dilation(grid, near), near)
    largest = np.bincount(pieces[tuple(cells.T)]).max()
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
