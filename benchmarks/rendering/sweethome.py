# SPDX-License-Identifier: Apache-2.0
"""Furniture libraries of Sweet Home 3D (`.sh3f`: a zip of OBJ models and a catalogue)."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from amodal_ros.errors import InvalidInputError

from .obj_model import ObjPart, load_obj

CATALOGUE = "PluginFurnitureCatalog.properties"
DEBIAN_FOLDER = Path("/usr/share/sweethome3d/furniture")
_PROPERTY = re.compile(r"(\w+)#(\d+)=(.*)")


@dataclass(frozen=True)
class CatalogueEntry:
    """One model of a library; `size_m` is its width (x), depth (y) and height (z) in metres."""

    model_id: str
    name: str
    creator: str
    model_path: str
    size_m: tuple[float, float, float]
    rotation: tuple[float, ...]


def read_catalogue(library: Path) -> dict[str, CatalogueEntry]:
    """Entries of a library by model id (the part after `#`, for example `teddyBear`).

    Raises:
        InvalidInputError: The file does not exist or is no furniture library.
    """
    try:
        with zipfile.ZipFile(library) as archive:
            text = archive.read(CATALOGUE).decode("latin-1")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InvalidInputError(
            f"{library}: expected a Sweet Home 3D furniture library (Debian package "
            f"sweethome3d-furniture): {error}"
        ) from error
    records: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        match = _PROPERTY.match(line.strip())
        if match:
            records.setdefault(match[2], {})[match[1]] = match[3]
    entries = [_entry(record) for record in records.values()]
    return {entry.model_id: entry for entry in entries}


def _entry(record: dict[str, str]) -> CatalogueEntry:
    size = tuple(float(record[key]) / 100.0 for key in ("width", "depth", "height"))
    rotation = tuple(float(value) for value in record.get("modelRotation", "").split())
    return CatalogueEntry(
        model_id=record["id"].rpartition("#")[2],
        name=record["name"],
        creator=record.get("creator", ""),
        model_path=record["model"].lstrip("/"),
        size_m=(size[0], size[1], size[2]),
        rotation=rotation or (1, 0, 0, 0, 1, 0, 0, 0, 1),
    )


def extract_model(library: Path, entry: CatalogueEntry, folder: Path) -> Path:
    """Unpacks one model's folder (OBJ, MTL, textures, licence) and returns its OBJ file."""
    inside = PurePosixPath(entry.model_path).parent
    with zipfile.ZipFile(library) as archive:
        members = [name for name in archive.namelist() if name.startswith(f"{inside}/")]
        archive.extractall(folder, members)
    return folder / entry.model_path


def load_model(library: Path, entry: CatalogueEntry, folder: Path) -> list[ObjPart]:
    """Parts in metres, z up, front to -y, centred on x and y, standing on z = 0."""
    parts = load_obj(extract_model(library, entry, folder))
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
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
