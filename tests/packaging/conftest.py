# SPDX-License-Identifier: Apache-2.0
"""A copy of what git knows of the checkout, to build and install from."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


def _sources(root: Path) -> list[str]:
    """Returns the files of the checkout that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return [name for name in listing.stdout.split("\0") if name and (root / name).is_file()]


@pytest.fixture(scope="session")
def copy_checkout(repository_root: Path) -> Callable[[Path], Path]:
    """Copies the checkout to a folder, as a fresh clone would have it."""

    def copy(target: Path) -> Path:
        for name in _sources(repository_root):
            destination = target / name
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository_root / name, destination)
        return target

    return copy
