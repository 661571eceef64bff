# SPDX-License-Identifier: Apache-2.0
"""Any sample of a folder of TAOS shards, without reading those before it."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from training.taos.shards import decode_sample, shard_files
from training.taos.types import TaosSample
from training.untrusted import MAX_FILE_BYTES, CorruptRecordError


@dataclass(frozen=True)
class _Place:
    """Where the files of a sample lie: suffix -> (offset, size) in a shard."""

    shard: Path
    key: str
    files: dict[str, tuple[int, int]]


class TaosShardIndex:
    """Reads the tables of all shards once; `index[i]` then opens one file."""

    def __init__(self, folder: Path, limit: int = 0) -> None:
        """List the samples.

        Args:
            folder: of ``taos-*.tar``.
            limit: use only the first so many shards; 0: all.

        Raises:
            InvalidInputError: there are none, or fewer than `limit`.
            CorruptRecordError: a shard is damaged.
        """
        shards = shard_files(folder)
        if not shards or len(shards) < limit:
            raise InvalidInputError(
                f"{folder}: expected at least {max(limit, 1)} taos-*.tar, found {len(shards)}"
            )
        self._places = [
            place for shard in (shards[:limit] if limit else shards) for place in _places(shard)
        ]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._places)

    def __getitem__(self, index: int) -> TaosSample:
        """Decode a sample.

        Raises:
            CorruptRecordError: naming shard and sample.
        """
        place = self._places[index]
        with place.shard.open("rb") as stream:
            files = {}
            for suffix, (offset, size) in place.files.items():
                stream.seek(offset)
                files[suffix] = stream.read(size)
        return decode_sample(place.shard, place.key, files)


def _places(shard: Path) -> list[_Place]:
    places: dict[str, _Place] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                key, _, suffix = member.name.partition(".")
                if not member.isfile() or member.size > MAX_FILE_BYTES:
                    raise CorruptRecordError(shard, member.name, "expected a small regular file")
                place = places.setdefault(key, _Place(shard, key, {}))
                place.files[suffix] = (member.offset_data, member.size)
    except (tarfile.TarError, EOFError) as error:
        raise CorruptRecordError(shard, "file", f"damaged tar: {error}") from error
    return list(places.values())
