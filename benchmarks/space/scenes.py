# SPDX-License-Identifier: Apache-2.0
"""Tabletop scenes as an RGB-D camera sees them, with the true box of each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from benchmarks.tabletop.catalog import TabletopObject

if TYPE_CHECKING:
    from benchmarks.tabletop.stage import Stage

CORNERS = np.array(list(product((-1, 1), repeat=3)))  # of a box of side 2 about the origin
_STREAM = 2  # of random numbers: other scenes than the stills and clips of the same seed
_NOISE_AT_1_M = 0.0015  # of a stereo depth camera, growing with the square of the distance
_QUANTUM_M = 0.001
_EDGE_M = 0.02  # between neighbours: a depth camera knows neither


@dataclass(frozen=True, eq=False)
class TrueBox:
    """The smallest box upright in the world about an object's visible meshes.

    Attributes:
        centre: (3,) metres in the world.
        size: (3,) the longer level side, the shorter one, height, in metres.
        angle: of the longer side about z, radians.
    """

    centre: NDArray[np.float64]
    size: NDArray[np.float64]
    angle: float


@dataclass(frozen=True, eq=False)
class SceneObject:
    """An object that is wholly in the picture.

    Attributes:
        name: of its kind.
        visible: (H, W) bool.
        amodal: (H, W) bool.
        box: where it truly is.
    """

    name: str
    visible: NDArray[np.bool_]
    amodal: NDArray[np.bool_]
    box: TrueBox


@dataclass(frozen=True, eq=False)
class RgbdScene:
    """One picture with depth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        depth_m: (H, W) float32, noisy as a camera's, NaN where unknown.
        camera: intrinsics of both.
        world_from_camera: of the optical frame; z is up in the world.
        objects: that are in the picture.
    """

    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    camera: PinholeCamera
    world_from_camera: RigidTransform
    objects: tuple[SceneObject, ...]


def render_scene(
    assets: Path, catalogue: Sequence[TabletopObject], seed: int, number: int
) -> RgbdScene:
    """Render one scene, from its numbers alone."""
    # OpenGL is loaded where it draws alone: in the process of a judgement it may meet triton.
    from benchmarks.tabletop.cameraman import Cameraman
    from benchmarks.tabletop.shots import HW, MIN_VISIBLE_PX, touches_border, view_of
    from benchmarks.tabletop.stage import build_stage

    rng = np.random.default_rng([seed, _STREAM, number])
    stage = build_stage(assets, catalogue, rng, HW)
    with Cameraman(stage, HW) as cameraman:
        picture = cameraman.shoot(view_of(stage, rng))
        boxes = cameraman.while_standing(lambda: _true_boxes(stage))
    objects = [
        SceneObject(item.name, picture.visible[k], picture.amodal[k], boxes[k])
        for k, item in enumerate(stage.objects)
        if np.count_nonzero(picture.visible[k]) >= MIN_VISIBLE_PX
        and not touches_border(picture.amodal[k])
    ]
    depth_m = noisy(picture.depth_m, rng)
    world = picture.world_from_camera
    return RgbdScene(picture.image, depth_m, picture.camera, world, tuple(objects))


def noisy(depth_m: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Depth as of a camera: noise, whole millimetres, nothing known at edges."""
    measured = depth_m + rng.normal(size=depth_m.shape) * _NOISE_AT_1_M * depth_m**2
    measured = np.round(measured / _QUANTUM_M) * _QUANTUM_M
    square = np.ones((3, 3), np.uint8)
    edge = cv2.dilate(depth_m, square) - cv2.erode(depth_m, square) > _EDGE_M
    return np.where(edge, np.nan, measured).astype(np.float32)


def _true_boxes(stage: Stage) -> list[TrueBox]:
    """Of each object, at the geoms' present positions."""
    from benchmarks.tabletop.stage import VISUAL_GROUP

    owners = stage.geom_owners()
    seen = stage.model.geom_group == VISUAL_GROUP
    return [
        upright_bounds(
            np.concatenate([_corners(stage, int(geom)) for geom in np.flatnonzero(mine & seen)])
        )
        for mine in (owners == number for number in range(len(stage.body_ids)))
    ]


def _corners(stage: Stage, geom: int) -> NDArray[np.float64]:
    """(P, 3) vertices of a geom's mesh, or the corners of a primitive, in the world."""
    from benchmarks.tabletop.standing import mesh_vertices
    from training.rendering.mujoco_beside_torch import mujoco

    model, data = stage.model, stage.data
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
        points = mesh_vertices(model, geom)
    else:
        points = CORNERS * model.geom_aabb[geom, 3:] + model.geom_aabb[geom, :3]
    placed: NDArray[np.float64] = (
        points @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]
    )
    return placed


def upright_bounds(points: NDArray[np.float64]) -> TrueBox:
    """The smallest upright box about points (P, 3), z up."""
    (x, y), (width, depth), degrees = cv2.minAreaRect(points[:, :2].astype(np.float32))
    low, high = points[:, 2].min(), points[:, 2].max()
    if width < depth:
        width, depth, degrees = depth, width, degrees + 90
    centre = np.array([x, y, (low + high) / 2])
    return TrueBox(centre, np.array([width, depth, high - low]), float(np.radians(degrees)))
