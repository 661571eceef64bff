# SPDX-License-Identifier: Apache-2.0
"""Fetch environment maps for `training.scenes`: the 18 of the npm package @pmndrs/assets, CC0.

The package is verified against a pinned sha256 sum. Each map is written as ``NAME.npz`` with
`radiance`, (256, 512, 3) float16 linear RGB. What is already there is not fetched again.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.fetch_base_weights import FetchError, fetch_command, npm_pack

logger = logging.getLogger(__name__)

PACKAGE = "@pmndrs/assets@1.7.0"
SHA256 = "152bd218a3390703f184f0c6ce16e73c8f0a87f32d38530d418a09d33d8208dc"
COUNT = 18
DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / ".cache" / "environments"
_MARK = b"data:application/exr;base64,"
_LARGEST = 60_000.0  # float16 ends at 65,504; the sun of one map is brighter


def fetch_environments(folder: Path = DEFAULT_FOLDER, *, npm: str = "npm") -> Path:
    """Make sure that the maps lie in a folder.

    Returns:
        The folder.

    Raises:
        FetchError: npm is missing or fails, or the package is not the one expected.
    """
    if len(list(folder.glob("*.npz"))) == COUNT:
        logger.info("environment maps are in %s", folder)
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    logger.info("fetching %s from the npm registry (14 MB)", PACKAGE)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
        archive = npm_pack(Path(temporary), npm, PACKAGE)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            raise FetchError(f"{PACKAGE}: expected sha256 {SHA256}, got {found}")
        unpack(archive, folder)
    logger.info("%d maps are in %s", COUNT, folder)
    return folder


def unpack(archive: Path, folder: Path) -> None:
    """Write the maps of a package's archive.

    Raises:
        FetchError: a map cannot be decoded.
    """
    with tarfile.open(archive) as tar:
        for member in tar:
            source = tar.extractfile(member)
            if source is None or not member.name.endswith(".exr.js"):
                continue
            radiance = decode(source.read(), member.name)
            path = folder / f"{Path(member.name).name.removesuffix('.exr.js')}.npz"
            partial = archive.parent / path.name
            np.savez(partial, radiance=np.clip(radiance, 0, _LARGEST).astype(np.float16))
            os.replace(partial, path)


def decode(text: bytes, name: str) -> np.ndarray:
    """(H, W, 3) float32 linear RGB of an OpenEXR picture that a JavaScript module holds.

    Raises:
        FetchError: it holds none.
    """
    try:
        import OpenEXR
    except ImportError as error:
        raise FetchError(f"OpenEXR cannot be loaded ({error}): pip install OpenEXR") from error
    _, mark, rest = text.partition(_MARK)
    if not mark:
        raise FetchError(f"{name}: expected a module with an OpenEXR picture")
    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(base64.b64decode(rest.split(b"'")[0]))
        file.flush()
        try:
            with OpenEXR.File(file.name) as picture:
                return np.asarray(picture.channels()["RGB"].pixels, np.float32)
        except (RuntimeError, KeyError) as error:
            raise FetchError(f"{name}: expected an OpenEXR picture in RGB: {error}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return fetch_command(argv, __doc__, DEFAULT_FOLDER, fetch_environments)


if __name__ == "__main__":
    sys.exit(main())
