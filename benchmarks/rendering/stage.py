# SPDX-License-Identifier: Apache-2.0
"""A MuJoCo model of a table, a wall and textured objects on it; nothing here simulates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from training.rendering.obj_model import MaterialMesh

Vector = tuple[float, float, float]
_LARGEST_TEXTURE = 4096


@dataclass(frozen=True, eq=False)
class SceneObject:
    """An object whose masks are wanted.

    Attributes:
        name: of the object, its own.
        category: of the object.
        parts: in metres, standing on their z = 0.
        read: ``(name) -> bytes`` of the parts' textures.
    """

    name: str
    category: str
    parts: Sequence[MaterialMesh]
    read: Callable[[str], bytes]


@dataclass(frozen=True, eq=False)
class Slab:
    """A textured box of the backdrop: table top, wall, picture.

    Attributes:
        centre: Metres.
        half_size: Metres.
        texture: (H, W, 3) uint8 RGB.
    """

    name: str
    centre: Vector
    half_size: Vector
    texture: np.ndarray
    specular: float = 0.1
    shininess: float = 0.2


def build_stage(
    objects: Sequence[SceneObject],
    slabs: Sequence[Slab],
    *,
    max_hw: tuple[int, int],
    vertical_fov: float,
) -> Any:
    """Compiles the model: one mocap body per object, camera `camera`, lights `key` and `sky`.

    Args:
        objects: Bodies in this order, named as the objects.
        slabs: The fixed backdrop.
        max_hw: Largest picture that will be rendered, pixels.
        vertical_fov: Of the camera, degrees.

    Returns:
        The MjModel.

    Raises:
        InvalidInputError: Two objects have one name.
        ValueError: MuJoCo refuses a mesh, or a texture cannot be decoded.
    """
    names = [item.name for item in objects]
    if len(set(names)) != len(names):
        raise InvalidInputError(f"expected objects with different names, got {names}")
    import mujoco

    from training.rendering.spec import use_corner_normals

    spec = mujoco.MjSpec()
    _set_up(spec, max_hw)
    for slab in slabs:
        _add_slab(spec, slab)
    for item in objects:
        body = spec.worldbody.add_body(name=item.name, mocap=True)
        for index, part in enumerate(item.parts):
            _add_part(spec, body, f"{item.name}_{index}", part, item.read)
    spec.worldbody.add_camera(name="camera", fovy=vertical_fov)
    for name in ("key", "sky"):
        light = spec.worldbody.add_light(name=name, castshadow=True)
        light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    model = spec.compile()
    use_corner_normals(model)
    return model


def _set_up(spec: Any, max_hw: tuple[int, int]) -> None:
    spec.stat.extent = 1.0
    spec.stat.center = [0, 0, 0.15]
    visual = spec.visual
    visual.global_.offheight, visual.global_.offwidth = max_hw
    visual.quality.shadowsize, visual.quality.offsamples, visual.quality.numquads = 4096, 4, 16
    for kind in ("ambient", "diffuse", "specular"):
        setattr(visual.headlight, kind, [0, 0, 0])
    visual.map.znear, visual.map.zfar, visual.map.shadowclip = 0.02, 20, 1.8


def _add_slab(spec: Any, slab: Slab) -> None:
    import mujoco

    from training.rendering.spec import add_texture

    material = spec.add_material(
        name=slab.name, specular=slab.specular, shininess=slab.shininess, reflectance=0
    )
    add_texture(spec, material, slab.name, slab.texture)
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX, pos=slab.centre, size=slab.half_size, material=slab.name
    )


def _add_part(
    spec: Any, body: Any, name: str, part: MaterialMesh, read: Callable[[str], bytes]
) -> None:
    import mujoco

    from training.rendering.spec import add_mesh, add_shown_geom, add_texture, read_texture

    normals = None if part.normals is None else part.normals[part.faces]
    add_mesh(spec, name, part.vertices, part.faces, part.texture_uv, normals)
    material = spec.add_material(name=name, specular=part.shine, shininess=part.sharpness)
    material.rgba = [*(part.colour if not part.texture else (1, 1, 1)), part.alpha]
    if part.texture:
        image = read_texture(read(part.texture), part.texture, _LARGEST_TEXTURE)
        add_texture(spec, material, name, image)
    add_shown_geom(body, name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, mass=0)
