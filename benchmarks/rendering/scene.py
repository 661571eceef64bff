# SPDX-License-Identifier: Apache-2.0
"""MuJoCo models (MJCF) of a table, a wall and textured objects on it; nothing here simulates."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError

from .obj_model import ObjMaterial, ObjPart
from .textures import encode_png

Vector = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class SceneObject:
    """A thing whose masks are wanted; `parts` in metres, standing on their z = 0."""

    name: str
    category: str
    parts: list[ObjPart]


@dataclass(frozen=True, eq=False)
class Slab:
    """A textured box of the backdrop: table top, wall, picture.

    Attributes:
        centre: Metres.
        half_size: Metres.
        texture: (H, W, 3) uint8 RGB.
        repeat: How often the texture is laid in each direction of a face.
    """

    name: str
    centre: Vector
    half_size: Vector
    texture: np.ndarray
    repeat: tuple[float, float] = (1.0, 1.0)
    specular: float = 0.1
    shininess: float = 0.2
    reflectance: float = 0.0


@dataclass(frozen=True, eq=False)
class SceneSource:
    """MJCF text with the files it refers to, ready for `mujoco.MjModel.from_xml_string`."""

    xml: str
    assets: dict[str, bytes]


def build_scene(
    objects: list[SceneObject], slabs: list[Slab], *, max_hw: tuple[int, int], vertical_fov: float
) -> SceneSource:
    """Writes the model: one mocap body per object, camera `camera`, lights `key` and `sky`.

    Args:
        objects: Bodies in this order, named as the objects.
        slabs: The fixed backdrop.
        max_hw: Largest picture that will be rendered, pixels.
        vertical_fov: Of the camera, degrees.

    Raises:
        InvalidInputError: Two objects have one name.
    """
    names = [thing.name for thing in objects]
    if len(set(names)) != len(names):
        raise InvalidInputError(f"expected objects with different names, got {names}")
    root = ElementTree.Element("mujoco")
    _add(root, "statistic", extent=1.0, center=(0, 0, 0.15))
    visual = _add(root, "visual")
    _add(visual, "global", offheight=max_hw[0], offwidth=max_hw[1])
    _add(visual, "quality", shadowsize=4096, offsamples=4, numquads=16)
    _add(visual, "headlight", ambient=(0, 0, 0), diffuse=(0, 0, 0), specular=(0, 0, 0))
    _add(visual, "map", znear=0.02, zfar=20, shadowclip=1.8)
    asset, world = _add(root, "asset"), _add(root, "worldbody")
    files: dict[str, bytes] = {}
    for slab in slabs:
        _add_slab(asset, world, files, slab)
    for thing in objects:
        body = _add(world, "body", name=thing.name, mocap="true")
        for index, part in enumerate(thing.parts):
            _add_part(asset, body, files, f"{thing.name}_{index}", part)
    _add(world, "camera", name="camera", fovy=vertical_fov)
    for light in ("key", "sky"):
        _add(world, "light", name=light, type="directional", castshadow="true")
    return SceneSource(ElementTree.tostring(root, encoding="unicode"), files)


def _add(parent: ElementTree.Element, tag: str, **attributes: object) -> ElementTree.Element:
    text = {key: _text(value) for key, value in attributes.items()}
    return ElementTree.SubElement(parent, tag, text)


def _text(value: object) -> str:
    return " ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)


def _add_slab(
    asset: ElementTree.Element, world: ElementTree.Element, files: dict[str, bytes], slab: Slab
) -> None:
    files[f"{slab.name}.png"] = encode_png(slab.texture)
    _add(asset, "texture", name=slab.name, type="2d", file=f"{slab.name}.png")
    _add(
        asset,
        "material",
        name=slab.name,
        texture=slab.name,
        texrepeat=slab.repeat,
        specular=slab.specular,
        shininess=slab.shininess,
        reflectance=slab.reflectance,
    )
    _add(world, "geom", type="box", pos=slab.centre, size=slab.half_size, material=slab.name)


def _add_part(
    asset: ElementTree.Element,
    body: ElementTree.Element,
    files: dict[str, bytes],
    name: str,
    part: ObjPart,
) -> None:
    """One mesh geom. Collisions are off, so that no convex hull is computed."""
    files[f"{name}.obj"] = _obj_bytes(part)
    _add(asset, "mesh", name=name, file=f"{name}.obj", inertia="shell")
    surface: dict[str, object] = _surface(part.material)
    if part.material.texture is not None and part.texcoords is not None:
        picture = cv2.imread(str(part.material.texture), cv2.IMREAD_COLOR)
        if picture is None:
            raise InvalidInputError(f"{part.material.texture}: expected a readable picture")
        files[f"{name}.png"] = encode_png(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        _add(asset, "texture", name=name, type="2d", file=f"{name}.png")
        surface.update(texture=name, rgba=(1, 1, 1, part.material.alpha))
    _add(asset, "material", name=name, **surface)
    _add(body, "geom", type="mesh", mesh=name, material=name, mass=0, contype=0, conaffinity=0)


def _surface(material: ObjMaterial) -> dict[str, object]:
    return {
        "rgba": (*material.rgb, material.alpha),
        "specular": material.specular,
        "shininess": material.shininess,
    }


def _obj_bytes(part: ObjPart) -> bytes:
    """The part as an OBJ file whose corners share one index."""
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in part.vertices]
    fields = ["", "", ""]
    if part.texcoords is not None:
        lines += [f"vt {u:.6f} {v:.6f}" for u, v in part.texcoords]
        fields[1] = "t"
    if part.normals is not None:
        lines += [f"vn {x:.5f} {y:.5f} {z:.5f}" for x, y, z in part.normals]
        fields[2] = "n"
    pattern = {"": "{0}", "t": "{0}/{0}", "n": "{0}//{0}", "tn": "{0}/{0}/{0}"}["".join(fields)]
    for face in part.faces + 1:
        lines.append("f " + " ".join(pattern.format(index) for index in face))
    return "\n".join(lines).encode()
