# SPDX-License-Identifier: Apache-2.0
"""The demo clip's stage: six things on a table, a rolling ball, a camera that walks round them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from amodal_ros.errors import InvalidInputError
from benchmarks.rendering.renderer import SceneRenderer
from benchmarks.rendering.stage import (
    SceneObject,
    Slab,
    Vector,
    painting,
    panelling,
    plaster,
    wood,
)
from training.rendering.obj_model import MaterialMesh, parse_obj
from training.rendering.sh3f import CatalogueModel, model_reader, read_catalogue

VERTICAL_FOV = 32.0
BALL_SCALE = 0.62
_TARGET: Vector = (0.03, 0.12, 0.13)
_DISTANCE = 1.45


@dataclass(frozen=True)
class Prop:
    """A model of the library at its place on the table (metres, degrees about z)."""

    name: str
    category: str
    model_id: str
    position: Vector
    yaw: float
    scale: float = 1.0


PROPS = (
    Prop("teddy", "teddy bear", "teddyBear", (0.13, 0.0, 0.0), -8),
    Prop("milk", "milk carton", "tetrapak", (-0.2, -0.06, 0.0), 24),
    Prop("mixer", "mixer", "kitchenaid", (0.03, 0.54, 0.0), -60),
    Prop("ball", "ball", "basketball", (-0.43, 0.2, 0.0), 0, BALL_SCALE),
    Prop("cactus", "cactus", "cactus", (0.45, 0.30, 0.0), 30),
    Prop("cup", "cup", "plasticCup", (-0.265, 0.33, 0.0), 0),
)
_ROLL = 0.76  # metres that the ball travels to the right


def catalogue_entries(library: Path) -> dict[str, CatalogueModel]:
    """The library's entry of each prop, by prop name.

    Raises:
        InvalidInputError: The file does not exist or is no furniture library.
    """
    try:
        catalogue = {model.short_id: model for model in read_catalogue(library)}
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{library}: expected a Sweet Home 3D furniture library (Debian package "
            f"sweethome3d-furniture): {error}"
        ) from error
    return {prop.name: catalogue[prop.model_id] for prop in PROPS}


def load_objects(library: Path) -> list[SceneObject]:
    """Reads and scales the models."""
    entries = catalogue_entries(library)
    objects = []
    for prop in PROPS:
        lift = _ball_radius(entries["ball"]) if prop.name == "ball" else 0.0
        parts = [
            replace(part, vertices=part.vertices * prop.scale - (0.0, 0.0, lift))
            for part in standing_parts(entries[prop.name])
        ]
        objects.append(SceneObject(prop.name, prop.category, parts, model_reader(library)))
    return objects


def standing_parts(entry: CatalogueModel) -> list[MaterialMesh]:
    """Parts in metres, z up, front to -y, centred on x and y, standing on z = 0."""
    parts = parse_obj(entry.member, model_reader(Path(entry.catalogue)), with_normals=True)
    turn = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # the libraries have y up, front +z
    turn = turn @ np.array(entry.rotation, dtype=np.float64).reshape(3, 3)
    everything = np.concatenate([part.vertices for part in parts]) @ turn.T
    low, high = everything.min(axis=0), everything.max(axis=0)
    scale = np.array(entry.size_m) / np.maximum(high - low, 1e-9)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    return [
        replace(
            part,
            vertices=(part.vertices @ turn.T - origin) * scale,
            normals=None if part.normals is None else _unit(part.normals @ turn.T / scale),
        )
        for part in parts
    ]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def backdrop(seed: int) -> list[Slab]:
    """A wooden table in front of a panelled wall with a painting."""
    rng = np.random.default_rng(seed)
    table = wood(rng, (2048, 3072), (98, 60, 34), (170, 116, 72), 13)
    wall = plaster(rng, (1024, 1536), (158, 178, 172))
    panels = panelling(rng, (512, 2048), (226, 224, 214), 26)
    rail = plaster(rng, (64, 512), (232, 230, 222))
    frame = wood(rng, (128, 256), (60, 38, 24), (96, 64, 40), 1)
    picture = painting(rng, (480, 640))
    return [
        Slab("table", (0, -0.2, -0.03), (1.5, 1.0, 0.03), table, specular=0.2, shininess=0.3),
        Slab("wall", (0, 1.3, 0.6), (3, 0.05, 1.8), wall, specular=0, shininess=0),
        Slab("panels", (0, 1.24, -0.35), (3, 0.02, 0.72), panels, specular=0.05),
        Slab("rail", (0, 1.23, 0.39), (3, 0.045, 0.025), rail, specular=0.05),
        Slab("frame", (0.42, 1.23, 0.73), (0.36, 0.02, 0.27), frame),
        Slab("picture", (0.42, 1.205, 0.73), (0.335, 0.01, 0.245), picture, specular=0),
    ]


def pose(renderer: SceneRenderer, radius: float, progress: float) -> None:
    """Sets everything that moves; `progress` runs from 0 (first frame) to 1 (last frame)."""
    for prop in PROPS:
        if prop.name == "ball":
            rolled = _ROLL * progress
            x, y, _ = prop.position
            renderer.place("ball", (x + rolled, y, radius), _about_y(rolled / radius))
        else:
            renderer.place(prop.name, prop.position, _about_z(np.radians(prop.yaw)))
    angle = np.radians(-22.0 + 44.0 * progress)
    height = 0.50 - 0.08 * float(np.sin(np.pi * progress))
    eye = (_DISTANCE * float(np.sin(angle)), 0.12 - _DISTANCE * float(np.cos(angle)), height)
    renderer.look(eye, _TARGET)


def ball_radius(library: Path) -> float:
    """Radius of the rolling ball in metres."""
    return _ball_radius(catalogue_entries(library)["ball"])


def _ball_radius(entry: CatalogueModel) -> float:
    return entry.size_m[2] * BALL_SCALE / 2


def _about_z(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])


def _about_y(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1.0, 0], [-sine, 0, cosine]])
