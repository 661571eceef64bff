# SPDX-License-Identifier: Apache-2.0
"""Sweet Home 3D furniture catalogues (``.sh3f``): which models they hold, under what licence."""

from __future__ import annotations

import posixpath
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from training.taos.errors import CorruptRecordError
from training.taos.images import MAX_FILE_BYTES

_PROPERTIES = "PluginFurnitureCatalog.properties"


@dataclass(frozen=True)
class CatalogueModel:
    """One model of a catalogue.

    Attributes:
        catalogue: path of the zip.
        model_id: its id in the catalogue.
        member: path of the OBJ inside the zip.
        name: human name, used as category.
        licence: SPDX id, or "unknown".
        creator: who is to be credited.
    """

    catalogue: str
    model_id: str
    member: str
    name: str
    licence: str
    creator: str


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
            )
        )
    if not models:
        raise CorruptRecordError(path, _PROPERTIES, "expected lines model#N=..., found none")
    return models


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
