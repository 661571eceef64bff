# SPDX-License-Identifier: Apache-2.0
"""Renders a model from seeded viewpoints with MuJoCo: colour, and exact alpha."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from training.rendering.obj_model import MaterialMesh
from training.untrusted import checked_hw

if TYPE_CHECKING:
    from training.rendering.canvas import Canvas

_OVERSAMPLING = 2
_FIELD_OF_VIEW_DEG = 35.0
_MAX_TEXTURE_SIDE = 1024


def render_views(
    meshes: list[MaterialMesh],
    read: Callable[[str], bytes],
    size: int,
    seeds: list[np.random.SeedSequence],
) -> list[np.ndarray]:
    """One picture per seed.

    Alpha is the model's silhouette, rendered at twice the size without antialiasing and then
    averaged; colours are averaged premultiplied, so no background is mixed in. Transparent
    materials are drawn opaque: a glass pane is part of the object's shape.

    Args:
        meshes: of `parse_obj`, y up.
        read: ``(name) -> bytes`` for textures.
        size: side of the pictures in pixels.
        seeds: one per view; decides azimuth, elevation and light.

    Returns:
        (size, size, 4) uint8 straight RGBA each.

    Raises:
        ValueError: if MuJoCo cannot build the model.
        CorruptRecordError: if a texture cannot be read.
    """
    os.environ.setdefault("MUJOCO_GL", "osmesa")  # read when mujoco is imported
    from training.rendering.canvas import Canvas, current_context
    from training.rendering.mujoco_beside_torch import mujoco

    side = size * _OVERSAMPLING
    model = _spec(meshes, read, side).compile()
    data = mujoco.MjData(model)
    current_context()
    canvas = Canvas(model, data, lights_of_model=True)
    canvas.switch_off("CULL_FACE", "SHADOW", "REFLECTION", "SKYBOX")
    try:
        return [_view(model, data, canvas, np.random.default_rng(s)) for s in seeds]
    finally:
        canvas.close()


def _view(model: Any, data: Any, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    from training.rendering.mujoco_beside_torch import mujoco

    camera = mujoco.MjvCamera()
    camera.lookat[:] = 0.0
    camera.azimuth = rng.uniform(0.0, 360.0)
    camera.elevation = rng.uniform(-50.0, 5.0)
    camera.distance = 1.03 / np.sin(np.radians(_FIELD_OF_VIEW_DEG / 2))
    direction = rng.normal(size=3)
    direction[2] = -abs(direction[2]) - 0.4
    model.light_dir[0] = direction / np.linalg.norm(direction)
    model.light_diffuse[0] = rng.uniform(0.35, 0.75)
    model.vis.headlight.ambient[:] = rng.uniform(0.25, 0.45)
    model.vis.headlight.diffuse[:] = rng.uniform(0.15, 0.4)
    mujoco.mj_forward(model, data)
    canvas.update(camera)
    rgb = canvas.colours().astype(np.float32)
    solid = canvas.silhouette().astype(np.float32)
    size = (solid.shape[1] // _OVERSAMPLING, solid.shape[0] // _OVERSAMPLING)
    layer = np.dstack([rgb * solid[..., None], solid * 255.0])
    small = cv2.resize(layer, size, interpolation=cv2.INTER_AREA)
    colour = small[..., :3] / np.maximum(small[..., 3:] / 255.0, 1e-3)
    return np.clip(np.dstack([colour, small[..., 3]]) + 0.5, 0, 255).astype(np.uint8)


def _spec(meshes: list[MaterialMesh], read: Callable[[str], bytes], side: int) -> Any:
    """The model centred, in a ball of radius 1, z up, under one light."""
    from training.rendering.mujoco_beside_torch import mujoco
    from training.rendering.spec import add_mesh, add_shown_geom, add_texture, read_texture

    points = np.concatenate([mesh.vertices for mesh in meshes])
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = float(np.linalg.norm(points - centre, axis=1).max())
    if not np.isfinite(radius) or radius <= 0:
        raise ValueError("expected a model of finite size")
    spec = mujoco.MjSpec()
    visual = spec.visual
    visual.global_.offheight = visual.global_.offwidth = side
    visual.global_.fovy = _FIELD_OF_VIEW_DEG
    visual.quality.offsamples = 0
    visual.map.znear = 0.01
    light = spec.worldbody.add_light(castshadow=False, pos=[0, 0, 3], dir=[0, 0, -1])
    light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    for number, mesh in enumerate(meshes):
        if len(np.unique(mesh.vertices, axis=0)) < 4 or _area(mesh) < 1e-7 * radius**2:
            continue  # MuJoCo wants four vertices and a surface; such a sliver is not seen
        vertices = ((mesh.vertices - centre) / radius)[:, [0, 2, 1]] * (1, -1, 1)
        name = f"m{number}"
        add_mesh(spec, name, vertices, mesh.faces, mesh.texture_uv)
        material = spec.add_material(name=name, specular=mesh.shine * 0.5, shininess=0.4)
        if mesh.texture:
            data = read(mesh.texture)
            checked_hw(data, mesh.texture, "texture")
            add_texture(spec, material, name, read_texture(data, mesh.texture, _MAX_TEXTURE_SIDE))
        else:
            material.rgba = [*mesh.colour, 1]
        add_shown_geom(spec.worldbody, name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name)
    if not spec.geoms:
        raise ValueError("expected a mesh of at least four vertices")
    return spec


def _area(mesh: MaterialMesh) -> float:
    corners = mesh.vertices[mesh.faces]
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return 0.5 * float(np.linalg.norm(sides, axis=1).sum())
