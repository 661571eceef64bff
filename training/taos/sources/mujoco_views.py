# SPDX-License-Identifier: Apache-2.0
"""Renders a model from seeded viewpoints with MuJoCo: colour, and exact alpha."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from training.taos.images import checked_hw
from training.taos.sources.obj_model import MaterialMesh

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
    import mujoco

    side = size * _OVERSAMPLING
    xml, assets = _scene(meshes, read, side)
    model = mujoco.MjModel.from_xml_string(xml, assets)
    data = mujoco.MjData(model)
    renderer = mujoco.Renderer(model, side, side)
    try:
        return [_view(mujoco, model, data, renderer, np.random.default_rng(s)) for s in seeds]
    finally:
        renderer.close()


def _view(mujoco: Any, model: Any, data: Any, renderer: Any, rng: np.random.Generator) -> Any:
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
    renderer.update_scene(data, camera)
    for flag in (
        mujoco.mjtRndFlag.mjRND_CULL_FACE,
        mujoco.mjtRndFlag.mjRND_SHADOW,
        mujoco.mjtRndFlag.mjRND_REFLECTION,
        mujoco.mjtRndFlag.mjRND_SKYBOX,
    ):
        renderer.scene.flags[flag] = 0
    rgb = renderer.render().astype(np.float32)
    renderer.enable_segmentation_rendering()
    solid = (renderer.render()[..., 0] >= 0).astype(np.float32)
    renderer.disable_segmentation_rendering()
    size = (solid.shape[1] // _OVERSAMPLING, solid.shape[0] // _OVERSAMPLING)
    layer = np.dstack([rgb * solid[..., None], solid * 255.0])
    small = cv2.resize(layer, size, interpolation=cv2.INTER_AREA)
    colour = small[..., :3] / np.maximum(small[..., 3:] / 255.0, 1e-3)
    return np.clip(np.dstack([colour, small[..., 3]]) + 0.5, 0, 255).astype(np.uint8)


def _scene(
    meshes: list[MaterialMesh], read: Callable[[str], bytes], side: int
) -> tuple[str, dict[str, bytes]]:
    """MJCF and its files: the model centred, in a ball of radius 1, z up."""
    points = np.concatenate([mesh.vertices for mesh in meshes])
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = float(np.linalg.norm(points - centre, axis=1).max())
    if not np.isfinite(radius) or radius <= 0:
        raise ValueError("expected a model of finite size")
    assets: dict[str, bytes] = {}
    parts, geoms = [], []
    for number, mesh in enumerate(meshes):
        if len(np.unique(mesh.vertices, axis=0)) < 4 or _area(mesh) < 1e-7 * radius**2:
            continue  # MuJoCo wants four vertices and a surface; such a sliver is not seen
        assets[f"m{number}.obj"] = _obj_bytes(mesh, centre, radius)
        look = 'rgba="{:.4f} {:.4f} {:.4f} 1"'.format(*mesh.colour)
        if mesh.texture:
            assets[f"t{number}.png"] = _texture_png(read(mesh.texture), mesh.texture)
            parts.append(f'<texture name="t{number}" type="2d" file="t{number}.png"/>')
            look = f'texture="t{number}"'
        parts.append(
            f'<material name="c{number}" {look} specular="{mesh.shine * 0.5:.3f}" '
            f'shininess="0.4"/><mesh name="m{number}" file="m{number}.obj" inertia="shell"/>'
        )
        geoms.append(
            f'<geom type="mesh" mesh="m{number}" material="c{number}" contype="0" '
            f'conaffinity="0"/>'
        )
    if not geoms:
        raise ValueError("expected a mesh of at least four vertices")
    xml = (
        "<mujoco><visual>"
        f'<global offwidth="{side}" offheight="{side}" fovy="{_FIELD_OF_VIEW_DEG}"/>'
        '<quality offsamples="0"/><map znear="0.01"/></visual>'
        f"<asset>{''.join(parts)}</asset><worldbody>"
        '<light directional="true" castshadow="false" pos="0 0 3" dir="0 0 -1"/>'
        f"{''.join(geoms)}</worldbody></mujoco>"
    )
    return xml, assets


def _area(mesh: MaterialMesh) -> float:
    corners = mesh.vertices[mesh.faces]
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return 0.5 * float(np.linalg.norm(sides, axis=1).sum())


def _obj_bytes(mesh: MaterialMesh, centre: np.ndarray, radius: float) -> bytes:
    x, y, z = ((mesh.vertices - centre) / radius).T
    lines = [f"v {a:.6f} {b:.6f} {c:.6f}" for a, b, c in zip(x, -z, y, strict=True)]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in mesh.texture_uv]
    lines += [f"f {a}/{a} {b}/{b} {c}/{c}" for a, b, c in mesh.faces + 1]
    return "\n".join(lines).encode("ascii")


def _texture_png(data: bytes, name: str) -> bytes:
    """Any texture as an RGB PNG of moderate size (MuJoCo reads no JPEG)."""
    checked_hw(data, name, "texture")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"texture {name} cannot be decoded")
    largest = max(image.shape[:2])
    if largest > _MAX_TEXTURE_SIDE:
        factor = _MAX_TEXTURE_SIDE / largest
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])
