# SPDX-License-Identifier: Apache-2.0
"""A MuJoCo model of props on a table in a room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.rendering.mujoco_beside_torch import mujoco
from training.rendering.shading import SHADOW_SIDE
from training.rendering.shading import Surfaces as Reflection
from training.rendering.spec import add_mesh, add_shown_geom, add_texture, use_corner_normals
from training.scenes.meshes import Rng
from training.scenes.placement import Placed
from training.scenes.props import Look, Part
from training.scenes.surfaces import Surfaces
from training.scenes.views import HW, View

FINE = 1.5
"""Pictures are drawn this much finer than they are written."""
_ROOM_TEXTURE_SIDE = 512
_WALL_M = 3.0
_WALLED = 0.45


@dataclass(frozen=True, eq=False)
class Stage:
    """A compiled scene.

    Attributes:
        model: MjModel.
        owner: (G,) number of the prop each geom belongs to, -1 for others.
        casters: (G,) bool, what casts shadows: all but the room.
        reflection: how each geom reflects.
        ground: (3,) mean linear colour of the table.
        points: (P, 3) of the props, metres.
    """

    model: Any
    owner: NDArray[np.int64]
    casters: NDArray[np.bool_]
    reflection: Reflection
    ground: NDArray[np.float32]
    points: NDArray[np.float64]


def build_stage(
    placed: Sequence[Placed],
    occluders: Sequence[Part],
    views: Sequence[View],
    surfaces: Surfaces,
    rng: Rng,
) -> Stage:
    """Compile a scene.

    Args:
        placed: props with their places.
        occluders: parts in the way that belong to no prop, in world coordinates.
        views: cameras; walls stand outside of them.
        surfaces: of tables, floors and walls.
        rng: for the room.
    """
    spec = mujoco.MjSpec()
    spec.stat.extent = 1.0
    spec.stat.center = [0, 0, 0]
    visual = spec.visual
    visual.global_.offheight = max(round(HW[0] * FINE), SHADOW_SIDE)
    visual.global_.offwidth = round(HW[1] * FINE)
    visual.quality.offsamples = 0  # masks must be exact
    corners = [item.prop.points() @ item.rotation.T + item.position for item in placed]
    looks: dict[str, Look] = {}
    inside = np.concatenate([view.eye()[None] for view in views] + corners)
    ground = _room(spec, inside, surfaces, looks, rng)
    owners: dict[str, int] = {}
    for number, item in enumerate(placed):
        for mesh, normals, look in item.prop.parts:
            moved = (mesh.turned(item.rotation).moved(*item.position), normals @ item.rotation.T)
            _add_mesh(spec, owners, number, looks, (*moved, look))
    for part in occluders:
        _add_mesh(spec, owners, -1, looks, part)
    model = spec.compile()
    use_corner_normals(model)
    owner, casters = np.full(model.ngeom, -1), np.zeros(model.ngeom, bool)
    for name, number in owners.items():
        owner[model.geom(name).id] = number
        casters[model.geom(name).id] = True
    return Stage(model, owner, casters, _reflection(model, looks), ground, np.concatenate(corners))


def _reflection(model: Any, looks: dict[str, Look]) -> Reflection:
    by_geom = [looks[model.mat(int(number)).name] for number in model.geom_matid]
    return Reflection(
        roughness=np.array([look.roughness for look in by_geom], np.float32),
        metal=np.array([look.metal for look in by_geom], np.float32),
        clear=np.array([look.clear for look in by_geom], np.float32),
    )


def _add_mesh(
    spec: Any, owners: dict[str, int], number: int, looks: dict[str, Look], part: Part
) -> None:
    mesh, normals, look = part
    name = f"o{len(owners)}"
    owners[name] = number
    add_mesh(spec, name, mesh.vertices, mesh.faces, mesh.uv, normals)
    add_shown_geom(
        spec.worldbody,
        _material(spec, looks, look),
        name=name,
        type=mujoco.mjtGeom.mjGEOM_MESH,
        meshname=name,
    )


def _room(
    spec: Any,
    inside: NDArray[np.float64],
    surfaces: Surfaces,
    looks: dict[str, Look],
    rng: Rng,
) -> NDArray[np.float32]:
    """A table of any size over a floor, or only a floor; often walls around points `inside`.

    Returns:
        (3,) mean linear colour of what the props stand on.
    """
    look = _flat(surfaces.ground(rng, _ROOM_TEXTURE_SIDE), rng)
    ground = _material(spec, looks, look, rng)
    floor_z = 0.0
    if rng.random() < 0.65:
        half, thick = rng.uniform(0.35, 0.9, 2), rng.uniform(0.01, 0.04)
        floor_z = -float(rng.uniform(0.3, 0.9))
        _slab(spec, [*half, thick], rng.uniform(-0.1, 0.1, 2), -thick, ground)
    floor = ground
    if floor_z < 0:
        below = _flat(surfaces.ground(rng, _ROOM_TEXTURE_SIDE), rng)
        floor = _material(spec, looks, below, rng)
    _slab(spec, [5, 5, 0.05], (0.0, 0.0), floor_z - 0.05, floor)
    if rng.random() < _WALLED:
        wall = _material(spec, looks, _flat(surfaces.wall(rng, _ROOM_TEXTURE_SIDE), rng), rng)
        for axis in range(2):
            for sign in (-1, 1):
                nearest = float((sign * inside[:, axis]).max()) + 0.08
                centre = np.zeros(3)
                centre[axis] = sign * (max(nearest, 0.25) + rng.exponential(0.5))
                add_shown_geom(
                    spec.worldbody,
                    wall,
                    type=mujoco.mjtGeom.mjGEOM_PLANE,  # on boxes textures lie in x and y alone
                    size=[5, _WALL_M / 2, 1],
                    pos=[centre[0], centre[1], floor_z + _WALL_M / 2],
                    xyaxes=[*np.cross((0, 0, 1), -np.sign(centre)), 0, 0, 1],
                )
    assert look.texture is not None
    mean = look.texture[::8, ::8].reshape(-1, 3).mean(axis=0) / 255 * look.colour
    return (mean**2.2).astype(np.float32)


def _slab(spec: Any, size: list[float], centre: Any, z: float, material: str) -> None:
    add_shown_geom(
        spec.worldbody, material, type=mujoco.mjtGeom.mjGEOM_BOX, size=size, pos=[*centre, z]
    )


def _flat(texture: NDArray[np.uint8], rng: Rng) -> Look:
    """A table's or a wall's material: mostly matt, some polished."""
    tint = (rng.uniform(0.75, 1.0) * (1 + rng.uniform(-0.04, 0.04, 3))).astype(np.float32)
    roughness = float(rng.uniform(0.15, 0.4) if rng.random() < 0.25 else rng.uniform(0.5, 1.0))
    return Look(np.clip(tint, 0, 1), texture, roughness)


def _material(spec: Any, looks: dict[str, Look], look: Look, rng: Rng | None = None) -> str:
    """Name of a look's material, added once; with `rng` its texture is repeated per metre."""
    for known, other in looks.items():
        if other is look:
            return known
    name = f"m{len(looks)}"
    looks[name] = look
    material = spec.add_material(name=name, rgba=[*(float(v) for v in look.colour), 1.0])
    if look.texture is not None:
        add_texture(spec, material, name, look.texture)
    if rng is not None:
        material.texrepeat = [float(np.exp(rng.uniform(np.log(0.5), np.log(3.0))))] * 2
        material.texuniform = True
    return name
