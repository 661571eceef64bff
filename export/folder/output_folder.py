# SPDX-License-Identifier: Apache-2.0
"""Folders that appear complete or not at all: filled beside their place, then moved there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.model_folder.manifest import MANIFEST_NAME


@contextmanager
def work_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Gives a temporary folder in the place where the result will lie.

    Args:
        parent: of the result; made where it does not exist.
        prefix: of the folder's name, with a dot: a reader does not look into it.

    Raises:
        InvalidInputError: nothing can be written there.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=parent, prefix=prefix)
    except OSError as error:
        raise InvalidInputError(f"{parent}: cannot be written to: {error}") from error
    with folder as path:
        yield Path(path)


def check_replaceable(out: Path) -> None:
    """Make sure that nothing but a model folder is replaced.

    Raises:
        InvalidInputError: ``out`` exists and is neither empty nor a model folder.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST_NAME).is_file():
        raise InvalidInputError(f"{out} exists and is no model folder; expected a new folder")
    unexpected = [path.name for path in out.iterdir() if path.is_dir()]
    if unexpected:
        raise InvalidInputError(f"{out} holds folders of its own: {unexpected}")
