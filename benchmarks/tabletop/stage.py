# SPDX-License-Identifier: Apache-2.0
"""A MuJoCo model of one scene: room, table, lights and objects, placed, dropped and settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.tabletop.catalog import (
    FLOOR_TEXTURES,
    TABLE_TEXTURES,
    WALL_TEXTURES,
    TabletopObject,
)
from training.rendering.mujoco_beside_torch import mujoco

TIME_STEP_S = 0.002  # the objects' stiff contacts explode with a larger one
SETTLE_S = 1.5
TABLE_HALF_M = (0.75, 0.75)
VISUAL_GROUP = 1
ROOM_GROUP = 2
COLLISION_GROUP = 3
_GAP_M = 0.004
_OBJECT_GROUP = 1  # the assets' own visual geoms

Rectangle = tuple[tuple[float, float], tuple[float, float], float]
"""Centre and size in metres, angle in degrees: OpenCV's rotated rectangle."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A settled scene.

    Attributes:
        model: the MuJoCo model.
        data: its state at rest.
        objects: what stands on the table, in the order of the body names ``object_0``, ...
        body_ids: (N,) int, body of each object.
        centre: (3,) float64, the middle of the objects, metres.
    """

    model: mujoco.MjModel
    data: mujoco.MjData
    objects: Sequence[TabletopObject]
    body_ids: NDArray[np.int64]
    centre: NDArray[np.float64]

    def geom_owners(self) -> NDArray[np.int64]:
        """(G,) number of the object each geom belongs to, -1 for the room."""
        roots = self.model.body_rootid[self.model.geom_bodyid]
        owners = np.full(self.model.ngeom, -1)
        for number, body in enumerate(self.body_ids):
            owners[roots == body] = number
        return owners


def build_stage(
    assets: Path,
    catalogue: Sequence[TabletopObject],
    rng: np.random.Generator,
    hw: tuple[int, int],
) -> Stage:
    """Choose objects, place them, drop them and let them come to rest."""
    count = min(int(rng.integers(9, 14)), len(catalogue))
    weights = np.array([item.weight for item in catalogue])
    picks = rng.choice(len(catalogue), size=count, replace=False, p=weights / weights.sum())
    chosen = [catalogue[k] for k in picks]
    spec = _empty_room(assets, rng, hw)
    for number, item in enumerate(chosen):
        _add_object(spec, assets, item, number)
    model = spec.compile()
    data = mujoco.MjData(model)
    body_ids = np.array([model.body(f"object_{k}").id for k in range(count)])
    _place(model, data, chosen, body_ids, rng)
    for _ in range(round(SETTLE_S / TIME_STEP_S)):
        mujoco.mj_step(model, data)
    data.qvel[:] = 0
    mujoco.mj_forward(model, data)
    on_table = data.xpos[body_ids][:, 2] > -0.05
    centre = data.xipos[body_ids][on_table].mean(axis=0) if on_table.any() else np.zeros(3)
    return Stage(model, data, chosen, body_ids, centre)


def _empty_room(assets: Path, rng: np.random.Generator, hw: tuple[int, int]) -> mujoco.MjSpec:
    spec = mujoco.MjSpec()
    spec.option.timestep = TIME_STEP_S
    spec.visual.global_.offheight, spec.visual.global_.offwidth = hw
    spec.visual.quality.offsamples = 8
    spec.visual.quality.shadowsize = 4096
    spec.visual.map.znear = 0.02
    spec.visual.map.shadowscale = 0.9
    ambient, diffuse = rng.uniform(0.25, 0.4), rng.uniform(0.25, 0.4)
    spec.visual.headlight.ambient = [ambient] * 3
    spec.visual.headlight.diffuse = [diffuse] * 3
    spec.visual.headlight.specular = [0.05] * 3
    _add_lights(spec, rng)
    table = _material(spec, "table", assets / str(rng.choice(TABLE_TEXTURES)), rng)
    wall = _material(spec, "wall", assets / str(rng.choice(WALL_TEXTURES)), rng)
    floor = _material(spec, "floor", assets / str(rng.choice(FLOOR_TEXTURES)), rng)
    world = spec.worldbody
    box = mujoco.mjtGeom.mjGEOM_BOX
    thickness = 0.02
    world.add_geom(
        type=box,
        size=[*TABLE_HALF_M, thickness],
        pos=[0, 0, -thickness],
        material=table,
        group=ROOM_GROUP,
    )
    world.add_geom(
        type=box, size=[3, 3, 0.01], pos=[0, 0, -0.76], material=floor, group=ROOM_GROUP
    )
    distance = rng.uniform(1.3, 2.2)
    for angle in range(4):
        cosine, sine = np.cos(angle * np.pi / 2), np.sin(angle * np.pi / 2)
        world.add_geom(
            type=box,
            size=[0.01, distance, 1.5],
            pos=[distance * cosine, distance * sine, 0.74],
            quat=[np.cos(angle * np.pi / 4), 0, 0, np.sin(angle * np.pi / 4)],
            material=wall,
            group=ROOM_GROUP,
        )
    return spec


def _add_lights(spec: mujoco.MjSpec, rng: np.random.Generator) -> None:
    """One or two lamps above; the first casts shadows."""
    for number in range(int(rng.integers(1, 3))):
        angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 1.45)
        away = rng.uniform(0.2, 0.6)
        position = np.array([away * np.cos(angle), away * np.sin(angle), height])
        strength = rng.uniform(0.35, 0.6) / (1 + number)
        warmth = rng.uniform(-0.06, 0.06)
        spec.worldbody.add_light(
            pos=position,
            dir=-position / np.linalg.norm(position),
            diffuse=[strength * (1 + warmth), strength, strength * (1 - warmth)],
            specular=[0.15] * 3,
            ambient=[0, 0, 0],
            castshadow=number == 0,
            cutoff=55,
            exponent=1,
        )


def _material(spec: mujoco.MjSpec, name: str, file: Path, rng: np.random.Generator) -> str:
    """A textured material of the room, tinted a little."""
    spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, file=str(file))
    tint = rng.uniform(0.75, 1.0) * (1 + rng.uniform(-0.08, 0.08, size=3))
    material = spec.add_material(
        name=name,
        rgba=[*np.clip(tint, 0, 1), 1],
        texrepeat=[rng.integers(1, 4)] * 2,
        specular=0.1,
        reflectance=0,
    )
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    return name


def _add_object(spec: mujoco.MjSpec, assets: Path, item: TabletopObject, number: int) -> None:
    child = mujoco.MjSpec.from_file(str(assets / item.xml))
    for mesh in child.meshes:
        mesh.scale = np.asarray(mesh.scale) * item.scale
    body = child.worldbody.first_body()
    _scale_primitives(body, item.scale)
    geoms = list(_geoms(body))
    has_visuals = any(geom.group == _OBJECT_GROUP for geom in geoms)
    for geom in geoms:
        visual = geom.group == _OBJECT_GROUP or not has_visuals
        geom.group = VISUAL_GROUP if visual else COLLISION_GROUP
    attached = spec.worldbody.add_frame().attach_body(body, f"{number}_", "")
    attached.name = f"object_{number}"
    attached.add_freejoint()


def _geoms(body: mujoco.MjsBody) -> Sequence[mujoco.MjsGeom]:
    found = list(body.geoms)
    for child in body.bodies:
        found += _geoms(child)
    return found


def _scale_primitives(body: mujoco.MjsBody, scale: float) -> None:
    """Scale what is not a mesh: positions and collision boxes."""
    if scale == 1.0:
        return
    for geom in body.geoms:
        geom.pos = np.asarray(geom.pos) * scale
        if geom.type != mujoco.mjtGeom.mjGEOM_MESH:
            geom.size = np.asarray(geom.size) * scale
    for child in body.bodies:
        child.pos = np.asarray(child.pos) * scale
        _scale_primitives(child, scale)


def _place(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    objects: Sequence[TabletopObject],
    body_ids: NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    """Stand or lay each object in a tight group; a few are dropped on top of the others."""
    spread = rng.uniform(0.065, 0.11)
    taken: list[Rectangle] = []
    drop_height = 0.25
    for number, item in enumerate(objects):
        joint = model.body_jntadr[body_ids[number]]
        address = model.jnt_qposadr[joint]
        upright = _upright(item, rng)
        turn = rng.uniform(0, 2 * np.pi)
        data.qpos[address : address + 3] = 0
        data.qpos[address + 3 : address + 7] = upright
        mujoco.mj_kinematics(model, data)
        low, high = _bounds(model, data, int(body_ids[number]))
        size = high - low + _GAP_M
        on_top = number > 2 and rng.random() < item.on_top
        position = rng.normal(0, spread, size=2)
        if not on_top:
            footprint = (float(size[0]), float(size[1])), float(np.degrees(turn))
            position = _free_position(position, footprint, taken, spread, rng)
            taken.append(((float(position[0]), float(position[1])), *footprint))
        height = drop_height if on_top else 0.002
        drop_height += size[2] + 0.02 if on_top else 0.0
        cosine, sine = np.cos(turn), np.sin(turn)
        middle = (low[:2] + high[:2]) / 2
        turned = np.array([[cosine, -sine], [sine, cosine]]) @ middle
        data.qpos[address : address + 2] = position - turned
        data.qpos[address + 2] = height - low[2]
        about_z = np.array([np.cos(turn / 2), 0, 0, np.sin(turn / 2)])
        data.qpos[address + 3 : address + 7] = _multiply(about_z, upright)
    mujoco.mj_forward(model, data)


def _upright(item: TabletopObject, rng: np.random.Generator) -> NDArray[np.float64]:
    """Quaternion that turns the object's up axis to z, or sometimes lays it on its side."""
    half = np.sqrt(0.5)
    quarter = np.array([half, half, 0, 0])
    upright = quarter if item.up == "y" else np.array([1.0, 0, 0, 0])
    return _multiply(quarter, upright) if rng.random() >= item.standing else upright


def _multiply(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    product = np.zeros(4)
    mujoco.mju_mulQuat(product, a, b)
    return product


def _bounds(
    model: mujoco.MjModel, data: mujoco.MjData, body: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Axis-aligned bounds of an object's visual meshes, metres in the world."""
    corners = []
    for geom in range(model.ngeom):
        if model.body_rootid[model.geom_bodyid[geom]] != body:
            continue
        if model.geom_group[geom] != VISUAL_GROUP:
            continue
        centre, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
        local = centre + signs * half
        corners.append(local @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom])
    points = np.concatenate(corners)
    return points.min(axis=0), points.max(axis=0)


def _free_position(
    start: NDArray[np.float64],
    footprint: tuple[tuple[float, float], float],
    taken: Sequence[Rectangle],
    spread: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The first draw whose footprint (size, angle) overlaps nothing; draws spread out slowly."""
    position, reach = start, spread
    while any(
        cv2.rotatedRectangleIntersection(
            ((float(position[0]), float(position[1])), *footprint), other
        )[0]
        != cv2.INTERSECT_NONE
        for other in taken
    ):
        reach *= 1.02
        position = rng.normal(0, reach, size=2)
    return position
