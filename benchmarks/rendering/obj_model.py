# SPDX-License-Identifier: Apache-2.0
"""Wavefront OBJ models with their MTL materials, split into one mesh per material."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from amodal_ros.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class ObjMaterial:
    """Surface of one part: colours in [0, 1], `shininess` 0 (rough) to 1 (mirror-like)."""

    name: str
    rgb: tuple[float, float, float] = (0.8, 0.8, 0.8)
    alpha: float = 1.0
    specular: float = 0.1
    shininess: float = 0.1
    texture: Path | None = None


@dataclass(frozen=True, eq=False)
class ObjPart:
    """Triangles of one material; one row for each different corner.

    Attributes:
        material: Surface of all triangles.
        vertices: (V, 3) float64, in the model's own unit and axes.
        texcoords: (V, 2) float64, origin at the bottom left, or None.
        normals: (V, 3) float64, or None.
        faces: (F, 3) int64 rows of `vertices`.
    """

    material: ObjMaterial
    vertices: np.ndarray
    texcoords: np.ndarray | None
    normals: np.ndarray | None
    faces: np.ndarray


Corner = tuple[int, int, int]


def load_obj(path: Path) -> list[ObjPart]:
    """Reads an OBJ file and the MTL files it names.

    Raises:
        InvalidInputError: The file has no triangle, or an index outside its lists.
    """
    values: dict[str, list[list[float]]] = {"v": [], "vt": [], "vn": []}
    corners: dict[str, list[Corner]] = {}
    materials: dict[str, ObjMaterial] = {}
    current = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, rest = line.strip().partition(" ")
        if key in values:
            values[key].append([float(number) for number in rest.split()[:3]])
        elif key == "f":
            counts = (len(values["v"]), len(values["vt"]), len(values["vn"]))
            polygon = [_corner(token, counts) for token in rest.split()]
            for second, third in pairwise(polygon[1:]):
                corners.setdefault(current, []).extend((polygon[0], second, third))
        elif key == "usemtl":
            current = rest.strip()
        elif key == "mtllib":
            materials.update(load_mtl(path.parent / rest.strip()))
    if not corners:
        raise InvalidInputError(f"{path}: expected an OBJ model with faces, found none")
    arrays = {key: np.array(rows, dtype=np.float64) for key, rows in values.items()}
    try:
        return [
            _part(materials.get(name, ObjMaterial(name)), arrays, part)
            for name, part in corners.items()
        ]
    except IndexError as error:
        raise InvalidInputError(f"{path}: face index outside its lists ({error})") from error


def load_mtl(path: Path) -> dict[str, ObjMaterial]:
    """Reads the materials of an MTL file; a texture that does not exist is left out."""
    fields: dict[str, dict[str, str]] = {}
    current = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, rest = line.strip().partition(" ")
        if key == "newmtl":
            current = rest.strip()
            fields[current] = {}
        elif current and rest:
            fields[current][key] = rest.strip()
    return {name: _material(name, entry, path.parent) for name, entry in fields.items()}


def _material(name: str, entry: dict[str, str], folder: Path) -> ObjMaterial:
    red, green, blue = (float(number) for number in entry.get("Kd", "0.8 0.8 0.8").split()[:3])
    specular = [float(number) for number in entry.get("Ks", "0.1 0.1 0.1").split()[:3]]
    texture = folder / entry["map_Kd"].split()[-1] if "map_Kd" in entry else None
    return ObjMaterial(
        name=name,
        rgb=(red, green, blue),
        alpha=float(entry.get("d", "1")),
        specular=min(float(np.mean(specular)), 1.0),
        shininess=min(float(entry.get("Ns", "10")) / 128.0, 1.0),
        texture=texture if texture is not None and texture.is_file() else None,
    )


def _corner(token: str, counts: tuple[int, int, int]) -> Corner:
    """`7/2/5`, `7//5`, `7/2` or `7` (1-based, negative: from the end) -> 0-based; -1: absent."""
    numbers = [int(field) if field else 0 for field in token.split("/")]
    numbers += [0] * (3 - len(numbers))
    vertex, texcoord, normal = (
        number - 1 if number > 0 else (count + number if number < 0 else -1)
        for number, count in zip(numbers, counts, strict=True)
    )
    return vertex, texcoord, normal


def _part(material: ObjMaterial, arrays: dict[str, np.ndarray], part: list[Corner]) -> ObjPart:
    rows, faces = np.unique(np.array(part, dtype=np.int64), axis=0, return_inverse=True)
    complete: np.ndarray = np.all(rows >= 0, axis=0)
    texcoords = arrays["vt"][rows[:, 1], :2] if complete[1] else None
    normals = arrays["vn"][rows[:, 2]] if complete[2] else None
    return ObjPart(material, arrays["v"][rows[:, 0]], texcoords, normals, faces.reshape(-1, 3))
