# SPDX-License-Identifier: Apache-2.0
"""Sweet Home 3D furniture catalogues (``.sh3f``): which models they hold, under what licence."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.untrusted import MAX_FILE_BYTES, CorruptRecordError, RejectedError

DEBIAN_FOLDER = Path("/usr/share/sweethome3d/furniture")
_PROPERTIES = "PluginFurnitureCatalog.properties"


@dataclass(frozen=True)
class CatalogueModel:
    """One model of a catalogue, or of an OBJ file on disk (`find_models`).

    Attributes:
        catalogue: path of the zip, or of the OBJ file.
        model_id: its id in the catalogue, or the file's path in the folder that was searched.
        member: path of the OBJ inside the zip, or its file's name.
        name: human name, used as category.
        licence: SPDX id, or "unknown".
        creator: who is to be credited.
        size_m: width (x), depth (y) and height (z) in metres; zeros where it is not said.
        rotation: (3, 3) by rows, from the OBJ's axes to those of the catalogue, which have y up.
    """

    catalogue: str
    model_id: str
    member: str
    name: str
    licence: str
    creator: str
    size_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)

    @property
    def short_id(self) -> str:
        """The part of the id after ``#``, for example ``teddyBear``."""
        return self.model_id.rpartition("#")[2]


def read_catalogue(path: Path) -> list[CatalogueModel]:
    """Models of a catalogue, in its order.

    Raises:
        CorruptRecordError: if the zip or its list of models cannot be read.
    """
    text = read_zip_member(path, _PROPERTIES).decode("iso-8859-1")
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            fields[key.strip()] = _unescape(value.strip())
    licence = spdx_licence(fields.get("license", ""))
    models = []
    for key, member in fields.items():
        stem, _, number = key.partition("#")
        if stem != "model" or not number:
            continue
        models.append(
            CatalogueModel(
                catalogue=str(path),
                model_id=fields.get(f"id#{number}", f"model#{number}"),
                member=inside(path, member.lstrip("/")),
                name=fields.get(f"name#{number}", ""),
                licence=licence,
                creator=fields.get(f"creator#{number}", ""),
                **_geometry(fields, number),
            )
        )
    if not models:
        raise CorruptRecordError(path, _PROPERTIES, "expected lines model#N=..., found none")
    return models


def _geometry(fields: dict[str, str], number: str) -> dict[str, Any]:
    size = [float(fields.get(f"{key}#{number}", 0)) / 100 for key in ("width", "depth", "height")]
    rotation = tuple(float(v) for v in fields.get(f"modelRotation#{number}", "").split())
    return {"size_m": tuple(size)} | ({"rotation": rotation} if rotation else {})


def model_reader(path: Path) -> Callable[[str], bytes]:
    """``(name) -> bytes`` for the files of a catalogue's models.

    It raises RejectedError for a file that is not there: some models of the official catalogues
    name files of their author's own disk.
    """
    members = member_names(path)

    def read(name: str) -> bytes:
        if name not in members:
            raise RejectedError("model_file_missing")
        return read_zip_member(path, inside(path, name))

    return read


def spdx_licence(text: str) -> str:
    """SPDX id of a catalogue's licence line; "unknown" if it is neither CC0 nor CC BY 3.0."""
    lowered = text.lower()
    if "public domain" in lowered or "cc0" in lowered or "zero" in lowered:
        return "CC0-1.0"
    limited = re.search(r"non.?commercial|no.?deriv|share.?alike|\bnc\b|\bnd\b|\bsa\b", lowered)
    if re.search(r"attribution\s+3\.0|cc.by.3\.0|commons\s+3\.0", lowered) and not limited:
        return "CC-BY-3.0"
    return "unknown"


def inside(path: Path, member: str) -> str:
    """A normalised member name.

    Raises:
        CorruptRecordError: if it leads out of the zip.
    """
    normal = posixpath.normpath(member.replace("\\", "/"))
    if normal.startswith(("..", "/")):
        raise CorruptRecordError(path, member, "expected a path inside the catalogue")
    return normal


def member_names(path: Path) -> frozenset[str]:
    """Names of all members.

    Raises:
        CorruptRecordError: if the zip is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(archive.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise CorruptRecordError(path, "file", f"cannot be read: {error}") from error


def read_zip_member(path: Path, member: str) -> bytes:
    """Bytes of one member, never more than 128 MiB, nothing written to disk.

    Raises:
        CorruptRecordError: if the zip is damaged, or the member missing or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except KeyError as error:
        raise CorruptRecordError(path, member, "is not in the catalogue") from error
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, NotImplementedError) as error:
        raise CorruptRecordError(path, member, f"cannot be read: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise CorruptRecordError(path, member, f"expected at most {MAX_FILE_BYTES} bytes")
    return data


def _unescape(value: str) -> str:
    """Resolves the escapes of Java's property files: backslash, u, four hex digits."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m.group(1), 16)), value)
