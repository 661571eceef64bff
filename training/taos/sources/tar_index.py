# SPDX-License-Identifier: Apache-2.0
"""Where the image and JSON pairs of a tar shard lie, found from its headers alone."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from training.untrusted import MAX_FILE_BYTES, CorruptRecordError

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class TarMember:
    """Bytes of one regular file inside a tar."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class TarPair:
    """An image and its annotation file; None where the tar lacks one."""

    stem: str
    image: TarMember | None
    annotation: TarMember | None
    problem: str = ""


def index_tar(path: Path) -> tuple[TarPair, ...]:
    """Pairs ``x.jpg`` with ``x.json``, in the order of the tar.

    Only headers are read; bodies are skipped by seeking, links and devices are ignored, and
    nothing is ever written to disk, so member names need no trust. A tar that ends early
    yields what came before and one pair that carries the problem.

    Raises:
        CorruptRecordError: if the file is no uncompressed tar at all.
    """
    found: dict[str, dict[str, TarMember]] = {}
    problem = ""
    try:
        with tarfile.open(path, "r:") as archive:
            try:
                while (member := archive.next()) is not None:
                    _note(found, member)
            except (tarfile.TarError, OSError, ValueError) as error:
                problem = f"tar ends early or is damaged: {error}"
    except (tarfile.TarError, OSError) as error:
        raise CorruptRecordError(path, "file", f"expected an uncompressed tar: {error}") from error
    pairs = [
        TarPair(stem, parts.get("image"), parts.get("annotation")) for stem, parts in found.items()
    ]
    if problem:
        pairs.append(TarPair("(rest)", None, None, problem))
    if not pairs:
        raise CorruptRecordError(path, "file", "expected sa_*.jpg and sa_*.json members")
    return tuple(pairs)


def _note(found: dict[str, dict[str, TarMember]], member: tarfile.TarInfo) -> None:
    if not member.isreg():
        return
    name = PurePosixPath(member.name)
    suffix = name.suffix.lower()
    if suffix == ".json":
        role = "annotation"
    elif suffix in _IMAGE_SUFFIXES:
        role = "image"
    else:
        return
    found.setdefault(name.stem, {})[role] = TarMember(member.name, member.offset_data, member.size)


def read_member(path: Path, member: TarMember) -> bytes:
    """The bytes of one member, by one seek and one read.

    Raises:
        CorruptRecordError: if it is too large or the tar ends inside it.
    """
    if member.size > MAX_FILE_BYTES:
        raise CorruptRecordError(
            path, member.name, f"expected at most {MAX_FILE_BYTES} bytes, got {member.size}"
        )
    with path.open("rb") as file:
        file.seek(member.offset)
        data = file.read(member.size)
    if len(data) != member.size:
        raise CorruptRecordError(
            path, member.name, f"expected {member.size} bytes, the tar ends after {len(data)}"
        )
    return data
