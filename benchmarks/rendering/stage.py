# SPDX-License-Identifier: Apache-2.0
"""A MuJoCo model of a table, a wall and textured objects on it; nothing here simulates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError
from training.rendering.obj_model import MaterialMesh
from training.scenes.surfaces import noise

Colour = tuple[int, int, int]


def wood(
    rng: np.random.Generator, hw: tuple[int, int], dark: Colour, light: Colour, planks: int
) -> np.ndarray:
    """(H, W, 3) uint8 RGB: `planks` boards along the width, with grain and joints."""
    height, width = hw
    image = np.zeros((height, width, 3), dtype=np.float32)
    edges = np.linspace(0, height, planks + 1).astype(int)
    for top, bottom in pairwise(edges):
        board = (bottom - top, width)
        warp = noise(rng, board, (3, 4), 3)
        across = np.linspace(0, 1, board[0], dtype=np.float32)[:, None]
        rings = 0.5 + 0.5 * np.sin(2 * np.pi * (across * 2 + warp * 3 + rng.random()))
        fibre = noise(rng, board, (max(board[0] // 2, 1), 10), 2)
        mix = np.clip(0.3 * rings + 0.45 * fibre + 0.35 * rng.random(), 0, 1)[..., None]
        image[top:bottom] = np.array(dark) * (1 - mix) + np.array(light) * mix
        image[top : top + 3] *= 0.55
    return np.clip(image, 0, 255).astype(np.uint8)


def plaster(rng: np.random.Generator, hw: tuple[int, int], colour: Colour) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a painted wall, slightly uneven."""
    fine = noise(rng, hw, (hw[0] // 6, hw[1] // 6), 2)
    coarse = noise(rng, hw, (4, 4), 3)
    level = 0.93 + 0.05 * fine + 0.05 * coarse
    return np.clip(np.array(colour) * level[..., None], 0, 255).astype(np.uint8)


def panelling(
    rng: np.random.Generator, hw: tuple[int, int], colour: Colour, boards: int
) -> np.ndarray:
    """(H, W, 3) uint8 RGB: painted upright boards with grooves between them."""
    image = plaster(rng, hw, colour).astype(np.float32)
    for edge in np.linspace(0, hw[1], boards, endpoint=False).astype(int):
        image[:, edge : edge + 4] *= 0.72
        image[:, edge + 4 : edge + 7] *= 1.06
    return np.clip(image, 0, 255).astype(np.uint8)


def painting(rng: np.random.Generator, hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 RGB: an abstract landscape of hills under an evening sky, with a mat."""
    height, width = hw
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    image = np.array((236, 168, 112)) * (1 - down) + np.array((250, 222, 178)) * down
    image = np.repeat(image, width, axis=1)
    rows = np.arange(height)[:, None]
    hills = ((198, 120, 92), (140, 104, 104), (84, 98, 108), (48, 74, 84))
    for index, colour in enumerate(hills):
        ridge = noise(rng, (1, width), (1, 3), 4)[0]
        line = height * (0.38 + 0.15 * index - 0.22 * ridge)
        image[rows >= line[None]] = colour
    sun = (int(width * 0.68), int(height * 0.3))
    sky = cv2.circle(np.zeros(hw, np.uint8), sun, height // 11, 1, -1, cv2.LINE_AA)
    image[(sky > 0) & (rows < height * 0.42)] = (252, 240, 214)
    margin = height // 9
    framed = np.full((height, width, 3), 240, dtype=np.uint8)
    inner = np.clip(image, 0, 255).astype(np.uint8)
    size = (width - 2 * margin, height - 2 * margin)
    framed[margin:-margin, margin:-margin] = cv2.resize(inner, size, interpolation=cv2.INTER_AREA)
    return framed


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
    from training.rendering.mujoco_beside_torch import mujoco
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
    from training.rendering.mujoco_beside_torch import mujoco
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
    from training.rendering.mujoco_beside_torch import mujoco
    from training.rendering.spec import add_mesh, add_shown_geom, add_texture, read_texture

    normals = None if part.normals is None else part.normals[part.faces]
    add_mesh(spec, name, part.vertices, part.faces, part.texture_uv, normals)
    material = spec.add_material(name=name, specular=part.shine, shininess=part.sharpness)
    material.rgba = [*(part.colour if not part.texture else (1, 1, 1)), part.alpha]
    if part.texture:
        image = read_texture(read(part.texture), part.texture, _LARGEST_TEXTURE)
        add_texture(spec, material, name, image)
    add_shown_geom(body, name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, mass=0)
