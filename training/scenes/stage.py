# SPDX-License-Identifier: Apache-2.0
"""A MuJoCo model of things on a table in a room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from training.scenes.placement import Placed
from training.scenes.surfaces import Surfaces
from training.scenes.thing import Look
from training.scenes.views import View

Rng = np.random.Generator

HW = (480, 640)
LIGHTS = 3
_ROOM_TEXTURE_SIDE = 512
_WALL_M = 3.0


def build_stage(
    placed: Sequence[Placed], views: Sequence[View], surfaces: Surfaces, rng: Rng
) -> tuple[Any, NDArray[np.int64]]:
    """Compile a scene.

    Returns:
        The MjModel, and (G,) int64 the number of the thing each geom belongs to, -1 for the room.
    """
    spec = mujoco.MjSpec()
    spec.stat.extent = 1.0
    spec.stat.center = [0, 0, 0]
    visual = spec.visual
    visual.global_.offheight, visual.global_.offwidth = HW
    visual.quality.offsamples = 0  # pictures are means of several renders; masks must be exact
    visual.quality.shadowsize = 1024
    visual.map.znear, visual.map.zfar = 0.02, 12.0
    visual.map.shadowclip = 0.7
    for number in range(LIGHTS):
        light = spec.worldbody.add_light(castshadow=number == 0)
        light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    corners = [item.thing.points() @ item.rotation.T + item.position for item in placed]
    _room(spec, np.concatenate([view.eye()[None] for view in views] + corners), surfaces, rng)
    names: dict[Look, str] = {}
    owners: dict[str, int] = {}
    for number, item in enumerate(placed):
        for mesh, normals, look in item.thing.parts:
            name = f"o{len(owners)}"
            owners[name] = number
            if look not in names:
                names[look] = _material(spec, f"m{len(names)}", look)
            _add_mesh(spec, name, names[look], item, mesh, normals)
    model = spec.compile()
    owner = np.full(model.ngeom, -1)
    for name, number in owners.items():
        owner[model.geom(name).id] = number
    return model, owner


def _add_mesh(
    spec: Any, name: str, material: str, item: Placed, mesh: Any, normals: NDArray[np.float64]
) -> None:
    added = spec.add_mesh(name=name)
    added.uservert = (mesh.vertices @ item.rotation.T + item.position).ravel()
    added.userface = mesh.faces.ravel()
    added.usernormal = (normals.reshape(-1, 3) @ item.rotation.T).ravel()
    added.userfacenormal = np.arange(3 * len(mesh.faces))
    added.usertexcoord = (mesh.uv * (1, -1)).ravel()
    added.userfacetexcoord = mesh.faces.ravel()
    added.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
    spec.worldbody.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_MESH,
        meshname=name,
        material=material,
        contype=0,
        conaffinity=0,
    )


def _room(spec: Any, inside: NDArray[np.float64], surfaces: Surfaces, rng: Rng) -> None:
    """A table of any size over a floor, or only a floor; walls around all points `inside`."""
    ground = _material(spec, "ground", _matt(surfaces.ground(rng, _ROOM_TEXTURE_SIDE), rng), rng)
    floor_z = 0.0
    if rng.random() < 0.65:
        half, thick = rng.uniform(0.35, 0.9, 2), rng.uniform(0.01, 0.04)
        floor_z = -float(rng.uniform(0.3, 0.9))
        _slab(spec, [*half, thick], rng.uniform(-0.1, 0.1, 2), -thick, ground)
    floor = ground
    if floor_z < 0:
        floor = _material(spec, "floor", _matt(surfaces.ground(rng, _ROOM_TEXTURE_SIDE), rng), rng)
    _slab(spec, [5, 5, 0.05], (0.0, 0.0), floor_z - 0.05, floor)
    wall = _material(spec, "wall", _matt(surfaces.wall(rng, _ROOM_TEXTURE_SIDE), rng), rng)
    for axis in range(2):
        for sign in (-1, 1):
            nearest = float((sign * inside[:, axis]).max()) + 0.08
            centre = np.zeros(3)
            centre[axis] = sign * (max(nearest, 0.25) + rng.exponential(0.5))
            spec.worldbody.add_geom(
                type=mujoco.mjtGeom.mjGEOM_PLANE,  # on boxes textures lie in x and y alone
                size=[5, _WALL_M / 2, 1],
                pos=[centre[0], centre[1], floor_z + _WALL_M / 2],
                xyaxes=[*np.cross((0, 0, 1), -np.sign(centre)), 0, 0, 1],
                material=wall,
                contype=0,
                conaffinity=0,
            )


def _slab(spec: Any, size: list[float], centre: Any, z: float, material: str) -> None:
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=size,
        pos=[*centre, z],
        material=material,
        contype=0,
        conaffinity=0,
    )


def _matt(texture: NDArray[np.uint8], rng: Rng) -> Look:
    tint = (rng.uniform(0.6, 1.0) * (1 + rng.uniform(-0.06, 0.06, 3))).astype(np.float32)
    return Look(np.clip(tint, 0, 1), texture, float(rng.uniform(0, 0.25)), 0.3)


def _material(spec: Any, name: str, look: Look, rng: Rng | None = None) -> str:
    """Adds a material; with `rng` its texture is repeated per metre, as on room surfaces."""
    material = spec.add_material(
        name=name,
        rgba=[*(float(v) for v in look.colour), 1.0],
        specular=look.specular,
        shininess=look.shininess,
        reflectance=0.0,
    )
    if look.texture is not None:
        height, width = look.texture.shape[:2]
        texture = spec.add_texture(
            name=name,
            type=mujoco.mjtTexture.mjTEXTURE_2D,
            width=width,
            height=height,
            nchannel=3,
        )
        texture.data = np.ascontiguousarray(look.texture).tobytes()
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    if rng is not None:
        material.texrepeat = [float(np.exp(rng.uniform(np.log(0.4), np.log(3.0))))] * 2
        material.texuniform = True
    return name
