# SPDX-License-Identifier: Apache-2.0
"""3D models on disk: Sweet Home 3D catalogues, and plain OBJ files with what lies beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.rendering.sh3f import CatalogueModel, inside, model_reader, read_catalogue
from training.untrusted import RejectedError, read_bytes

OWN = "own"
"""Licence of a plain OBJ file: whoever names it has the right to use it."""

_OBJ, _CATALOGUE = ".obj", ".sh3f"


def find_models(root: Path) -> list[CatalogueModel]:
    """Models of a catalogue or OBJ file, or of all below a folder; empty where there are none.

    Raises:
        CorruptRecordError: a catalogue cannot be read.
    """
    files = [root] if root.is_file() else sorted(root.rglob("*"))
    found: list[CatalogueModel] = []
    for path in files:
        suffix = path.suffix.lower()
        if suffix == _CATALOGUE:
            found += read_catalogue(path)
        elif suffix == _OBJ:
            name = path.name if path == root else path.relative_to(root).as_posix()
            found.append(
                CatalogueModel(
                    catalogue=str(path),
                    model_id=name,
                    member=path.name,
                    name=path.stem,
                    licence=OWN,
                    creator="",
                )
            )
    return found


def reader_of(model: CatalogueModel) -> Callable[[str], bytes]:
    """``(name) -> bytes`` for a model's files: members of its catalogue, or files beside its OBJ.

    It raises RejectedError for a file that is not there.
    """
    path = Path(model.catalogue)
    if path.suffix.lower() != _OBJ:
        return model_reader(path)

    def read(name: str) -> bytes:
        file = path.parent / inside(path, name)
        if not file.is_file():
            raise RejectedError("model_file_missing")
        return read_bytes(file, model.model_id)

    return read
