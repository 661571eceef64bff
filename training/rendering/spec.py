# SPDX-License-Identifier: Apache-2.0
"""Meshes and pictures for MuJoCo's model builder."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.rendering.mujoco_beside_torch import mujoco

Array = NDArray[np.float64]


def add_mesh(
    spec: Any,
    name: str,
    vertices: Array,
    faces: NDArray[np.int64],
    uv: Array | None = None,
    corner_normals: Array | None = None,
) -> None:
    """Add a mesh for drawing.

    Args:
        spec: MjSpec.
        name: of the mesh.
        vertices: (V, 3).
        faces: (F, 3) into the vertices.
        uv: (V, 2) texture coordinates, origin at the bottom left.
        corner_normals: (F, 3, 3) unit vectors; without them MuJoCo makes them. Call
            `use_corner_normals` on the compiled model.
    """
    added = spec.add_mesh(name=name)
    added.uservert = vertices.ravel()
    added.userface = faces.ravel()
    if corner_normals is not None:
        added.usernormal = corner_normals.ravel()
        added.userfacenormal = np.arange(3 * len(faces))
    if uv is not None:
        added.usertexcoord = (uv * (1, -1)).ravel()
        added.userfacetexcoord = faces.ravel()
    added.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL


def use_corner_normals(model: Any) -> None:
    """Give each corner of a face its own normal where there are as many as corners.

    MuJoCo 4.0 passes over `userfacenormal`; earlier versions do not.
    """
    counts = zip(model.mesh_faceadr, model.mesh_facenum, model.mesh_normalnum, strict=True)
    for first, faces, normals in counts:
        if normals == 3 * faces:
            model.mesh_facenormal[first : first + faces] = np.arange(3 * faces).reshape(-1, 3)


def add_texture(spec: Any, material: Any, name: str, image: NDArray[np.uint8]) -> None:
    """Lay a picture (H, W, 3) uint8 RGB on a material."""
    height, width = image.shape[:2]
    texture = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=width, height=height, nchannel=3
    )
    texture.data = np.ascontiguousarray(image).tobytes()
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def add_shown_geom(parent: Any, material: str, **fields: Any) -> None:
    """Add a geom that is seen and touches nothing."""
    parent.add_geom(material=material, contype=0, conaffinity=0, **fields)


def read_texture(data: bytes, name: str, largest: int) -> NDArray[np.uint8]:
    """A picture file as (H, W, 3) uint8 RGB, no side longer than `largest` pixels.

    Raises:
        ValueError: it cannot be decoded.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"texture {name} cannot be decoded")
    factor = largest / max(image.shape[:2])
    if factor < 1:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8)
