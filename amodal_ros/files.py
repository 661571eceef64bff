# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear complete or not at all, and digests of what they hold.

What is written lies under a name of its own beside its place, and moves there when it is whole: a
reader, or a run after a kill, finds all of it or nothing. Names of unfinished things begin with a
dot and end with ``.tmp``, so that no pattern for finished ones finds them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amodal_ros.errors import InvalidInputError

_SUFFIX = ".tmp"


def file_sha256(path: Path | str) -> str:
    """Hexadecimal sha256 of a file, read in pieces.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives the path to write a file to, and puts the file in its place when that has ended well.

    After an error nothing is left, and what stood there before stays.

    Args:
        path: of the file. Its folder exists.

    Raises:
        OSError: the file cannot be written.
    """
    unfinished = unfinished_name(path)
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())  # or a power failure could keep the name and lose the content
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file that is whole at every moment.

    Raises:
        OSError: the file cannot be written.
    """
    with whole_file(path) as unfinished:
        unfinished.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file that is whole at every moment.

    Raises:
        OSError: the file cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder to fill, and puts it in its place when that has ended well.

    After an error nothing is left, and what stood there before stays.

    Args:
        path: of the folder. Its parent exists.

    Raises:
        OSError: the folder cannot be written.
    """
    unfinished = unfinished_name(path)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        yield unfinished
        replace_folder(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def work_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Gives a temporary folder in the place where a result will lie; it goes afterwards.

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


def replace_folder(finished: Path, path: Path) -> None:
    """Moves a finished folder to its place; an older one is there until then, and gone after.

    Args:
        finished: on the same file system as ``path``.
        path: where it will lie; its parent exists.

    Raises:
        OSError: it cannot be moved.
    """
    if path.exists():
        old = path.with_name(f".{path.name}.old-{_owner()}{_SUFFIX}")
        os.replace(path, old)
        os.replace(finished, path)
        shutil.rmtree(old)
    else:
        os.replace(finished, path)


def unfinished_name(path: Path) -> Path:
    """Where this process writes what will lie at ``path``."""
    return path.with_name(f".{path.name}.{_owner()}{_SUFFIX}")


def remove_unfinished(folder: Path, name: str = "*") -> None:
    """Removes what killed processes left in a folder.

    Args:
        folder: in which no process writes now.
        name: pattern of the names that the files and folders would have had.
    """
    for left in folder.glob(f".{name}.*{_SUFFIX}"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


def _owner() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"
