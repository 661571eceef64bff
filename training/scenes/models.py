# SPDX-License-Identifier: Apache-2.0
"""Sweet Home 3D models, read once and kept ready; which may be used, and for which split."""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import whole_file
from training.rendering.obj_model import MaterialMesh, parse_obj, shape_reason
from training.rendering.sh3f import CatalogueModel, model_reader, read_catalogue
from training.scenes.meshes import Array, Mesh
from training.scenes.props import corner_normals
from training.untrusted import CorruptRecordError, RejectedError, checked_hw

LOGGER = logging.getLogger(__name__)

DEMO_MODELS = frozenset(
    {"teddyBear", "tetrapak", "kitchenaid", "basketball", "cactus", "plasticCup"}
)
"""Those of the demo clip, which shows what was never trained on."""
LICENCES = ("CC0-1.0", "CC-BY-3.0")
SPLITS = ("train", "validation")
VALIDATION_SHARE = 0.1
_SPLIT_SEED = 20_260_101
_RECIPE = 1
_MAX_OBJ_BYTES = 1_500_000
_MAX_FACES = 12_000
_TEXTURE_SIDE = 256


@dataclass(frozen=True, eq=False)
class ReadyModel:
    """A model centred over the origin, standing on z = 0, its longest side 1.

    Attributes:
        parts: mesh, corner normals (F, 3, 3), RGB, specular strength and number of the texture
            (-1: none). Each face is there twice, once for each side.
        textures: (H, W, 3) uint8 RGB each.
    """

    parts: Sequence[tuple[Mesh, Array, tuple[float, float, float], float, int]]
    textures: Sequence[NDArray[np.uint8]]


def usable_models(folder: Path, split: str) -> list[CatalogueModel]:
    """Models of the catalogues in `folder` that belong to a split, sorted by id.

    The demo clip's are in neither. A model's split depends on its id alone.

    Raises:
        InvalidInputError: if the split is unknown or there is no such model.
        CorruptRecordError: if a catalogue cannot be read.
    """
    if split not in SPLITS:
        raise InvalidInputError(f"split: expected one of {SPLITS}, got {split!r}")
    found = [model for path in sorted(folder.rglob("*.sh3f")) for model in read_catalogue(path)]
    chosen = [
        model
        for model in found
        if model.licence in LICENCES
        and model.short_id not in DEMO_MODELS
        and is_held_out(model.model_id) == (split == "validation")
    ]
    if not chosen:
        raise InvalidInputError(
            f"{folder}: expected .sh3f catalogues with models under {LICENCES}"
        )
    return sorted(chosen, key=lambda model: model.model_id)


def is_held_out(model_id: str) -> bool:
    """Whether a model is kept for validation."""
    seed = np.random.SeedSequence([_SPLIT_SEED, zlib.crc32(model_id.encode("utf-8"))])
    return bool(np.random.default_rng(seed).random() < VALIDATION_SHARE)


class ModelStore:
    """Reads models as they are wanted and keeps them in a folder."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def load(self, model: CatalogueModel) -> ReadyModel | None:
        """A model, or None if it makes no good object (flat, in pieces, huge, incomplete)."""
        path = self._cache / f"{_stem(model)}.npz"
        if not path.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as unfinished, unfinished.open("wb") as file:
                np.savez(file, **_packed(_prepare(model)))
        with np.load(path, allow_pickle=False) as arrays:
            return _unpacked(arrays)


def _packed(ready: ReadyModel | None) -> dict[str, Any]:
    """Arrays by name; none for a model that is left out."""
    if ready is None:
        return {}
    arrays: dict[str, Any] = {f"texture{k}": t for k, t in enumerate(ready.textures)}
    for k, (mesh, normals, rgb, shine, texture) in enumerate(ready.parts):
        arrays |= {f"vertices{k}": mesh.vertices, f"faces{k}": mesh.faces, f"uv{k}": mesh.uv}
        arrays |= {f"normals{k}": normals, f"look{k}": np.array([*rgb, shine, texture])}
    return arrays


def _unpacked(arrays: Mapping[str, np.ndarray]) -> ReadyModel | None:
    parts: list[Any] = []
    while (name := f"look{len(parts)}") in arrays:
        mesh = Mesh(*(arrays[f"{key}{len(parts)}"] for key in ("vertices", "faces", "uv")))
        red, green, blue, shine, texture = (float(value) for value in arrays[name])
        normals = arrays[f"normals{len(parts)}"]
        parts.append((mesh, normals, (red, green, blue), shine, int(texture)))
    textures: list[np.ndarray] = []
    while (name := f"texture{len(textures)}") in arrays:
        textures.append(arrays[name])
    return ReadyModel(parts, textures) if parts else None


def _stem(model: CatalogueModel) -> str:
    size = os.path.getsize(model.catalogue)
    recipe = (_RECIPE, Path(model.catalogue).name, size, model.model_id)
    return hashlib.sha256(repr(recipe).encode("utf-8")).hexdigest()[:24]


def _prepare(model: CatalogueModel) -> ReadyModel | None:
    archive = Path(model.catalogue)
    read = model_reader(archive)
    try:
        if len(read(model.member)) > _MAX_OBJ_BYTES:
            raise RejectedError("model_large")
        meshes = parse_obj(model.member, read)
        if sum(len(mesh.faces) for mesh in meshes) > _MAX_FACES:
            raise RejectedError("model_large")
        if reason := shape_reason(meshes):
            raise RejectedError(reason)
        names = sorted({mesh.texture for mesh in meshes if mesh.texture})
        textures = [_texture(read(name), model.catalogue, name) for name in names]
    except RejectedError as error:
        LOGGER.info("%s is left out: %s", model.model_id, error.reason)
        return None
    except CorruptRecordError:
        raise
    except ValueError as error:
        raise CorruptRecordError(archive, model.model_id, str(error)) from error
    return ReadyModel(_normalised(meshes, names), textures)


def _normalised(
    meshes: list[MaterialMesh], names: list[str]
) -> list[tuple[Mesh, Array, tuple[float, float, float], float, int]]:
    points = np.concatenate([mesh.vertices for mesh in meshes])[:, [0, 2, 1]] * (1, -1, 1)
    low, high = points.min(axis=0), points.max(axis=0)
    foot = np.array([*(low[:2] + high[:2]) / 2, low[2]])
    parts = []
    for mesh in meshes:
        vertices = (mesh.vertices[:, [0, 2, 1]] * (1, -1, 1) - foot) / float((high - low).max())
        number = names.index(mesh.texture) if mesh.texture else -1
        single = Mesh(vertices, mesh.faces, mesh.texture_uv)
        normals = corner_normals(single)
        # Some of these models are inside out in parts, and others are sheets without thickness.
        both = Mesh(vertices, np.concatenate([mesh.faces, mesh.faces[:, ::-1]]), mesh.texture_uv)
        normals = np.concatenate([normals, -normals[:, ::-1]])
        parts.append((both, normals, mesh.colour, mesh.shine, number))
    return parts


def _texture(data: bytes, file: str, name: str) -> NDArray[np.uint8]:
    checked_hw(data, file, name)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise CorruptRecordError(file, name, "image data cannot be decoded")
    height, width = (min(side, _TEXTURE_SIDE) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB).astype(np.uint8)
