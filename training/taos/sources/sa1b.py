# SPDX-License-Identifier: Apache-2.0
"""SA-1B: a folder of ``sa_*.tar`` shards, read in place, or of ``sa_*.jpg`` + ``sa_*.json``."""

from __future__ import annotations

import functools
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from training.taos.sources.base import PhotoSource, make_photo, rle_object
from training.taos.types import Photo
from training.untrusted import MAX_FILE_BYTES, CorruptRecordError, checked_hw, read_bytes

Key = tuple[str, int]


class Sa1bSource(PhotoSource):
    """Streams SA-1B without unpacking it.

    Output shard k reads one contiguous stretch of `window` records of one tar: the tars are
    visited in a seeded order, round after round, each round `window` records further on. So
    a run touches every tar before it reads any of them again, and one worker never needs
    more than one tar's headers and one stretch of its bodies.
    """

    kind = "sa1b"

    def __init__(self, spec: str, root: Path, seed: int, window: int) -> None:
        """Lists the shards (or loose records) without opening them.

        Raises:
            InvalidInputError: if there is neither a tar nor a loose record.
        """
        self.spec = spec
        self._root = root
        self._window = window
        tars = sorted(root.glob("*.tar")) if root.is_dir() else []
        if root.is_file():
            tars = [root]
        order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, len(tars))))
        self._tars = [tars[i] for i in order.permutation(len(tars))]
        self._loose = [] if tars or not root.is_dir() else sorted(root.glob("*.json"))
        if not self._tars and not self._loose:
            raise InvalidInputError(
                f"source {spec}: expected sa_*.tar, or sa_*.jpg with sa_*.json, in {root}"
            )
        self._index = functools.lru_cache(maxsize=4)(index_tar)

    def records(self, shard: int) -> Sequence[Key]:
        """The stretch of records of output shard `shard` (all of them in a loose folder)."""
        if self._loose:
            return [(str(path), -1) for path in self._loose]
        tar = self._tars[shard % len(self._tars)]
        records = len(self._index(tar))
        start = (shard // len(self._tars)) * self._window
        return [(str(tar), (start + i) % records) for i in range(min(self._window, records))]

    def photo(self, key: Key, long_side: int) -> Photo:
        """Reads one pair (see `PhotoSource.photo`)."""
        path = Path(key[0])
        if key[1] < 0:
            image_path = path.with_suffix(".jpg")
            return self._photo(
                path.stem,
                read_bytes(path, path.stem),
                read_bytes(image_path, path.stem),
                path,
                long_side,
            )
        pair = self._index(path)[key[1]]
        if pair.image is None or pair.annotation is None:
            raise CorruptRecordError(path, pair.stem, pair.problem or _missing(pair))
        annotation = read_member(path, pair.annotation)
        image = read_member(path, pair.image)
        return self._photo(pair.stem, annotation, image, path, long_side)

    def _photo(
        self, stem: str, annotation: bytes, image: bytes, file: Path, long_side: int
    ) -> Photo:
        place = (file, stem)
        content = _parse(annotation, place)
        native_hw = checked_hw(image, file, stem)
        stated = (content["image"].get("height"), content["image"].get("width"))
        if stated != native_hw:
            raise CorruptRecordError(
                *place, f"says (height, width) {stated}, its image has {native_hw}"
            )
        objects = []
        for index, entry in enumerate(content["annotations"]):
            if not isinstance(entry, dict) or not isinstance(entry.get("segmentation"), dict):
                raise CorruptRecordError(*place, f"annotations[{index}]: expected an RLE")
            object_id = str(entry.get("id", index))
            objects.append(rle_object(object_id, "", entry["segmentation"], native_hw, place))
        return make_photo(
            record=stem,
            native_hw=native_hw,
            long_side=long_side,
            objects=objects,
            read_data=lambda: image,
            place=place,
            background_annotated=True,
            origin={
                "source": self.spec,
                "kind": self.kind,
                "file": file.name,
                "record": stem,
            },
        )


def _missing(pair: TarPair) -> str:
    return "has no image" if pair.image is None else "has no .json"


def _parse(data: bytes, place: tuple[object, object]) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise CorruptRecordError(*place, f"expected JSON: {error}") from error
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("image"), dict)
        or not isinstance(content.get("annotations"), list)
    ):
        raise CorruptRecordError(*place, "expected the SA-1B keys 'image' and 'annotations'")
    return content


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
