# SPDX-License-Identifier: Apache-2.0
"""A part of a source: some of its objects are kept back, to measure on what was not trained on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from typing import Any, Literal

from amodal_ros.errors import InvalidInputError
from training.taos.sources.base import CutOutSource, PhotoSource, Source
from training.taos.types import CutOut, Photo

Part = Literal["all", "train", "held"]


def part_of(source: Source, part: Part, held_share: float) -> Source:
    """The source, of which only some records are seen.

    What is kept back is decided by the names alone: whole groups (all views of a 3D model, a photo
    with its objects) are either trained on or kept back. A source of one group is split by record.

    Args:
        source: opened.
        part: `all`, `train` (what is not kept back) or `held` (what is).
        held_share: of the groups, rounded up; at least one group is in either part.

    Raises:
        InvalidInputError: the source holds a single record, which cannot be split.
    """
    if part == "all":
        return source
    if isinstance(source, PhotoSource):
        return _PhotoPart(source, part, held_share)
    return _CutOutPart(source, part, held_share)


def _chosen(source: Source, shard: int, part: Part, share: float) -> list[Hashable]:
    keys = source.pool(shard)
    groups = {key: source.group(key) for key in keys}
    if len(set(groups.values())) < 2:
        groups = {key: str(key) for key in keys}
    names = sorted(set(groups.values()), key=_rank)
    if len(names) < 2:
        raise InvalidInputError(
            f"source {source.spec}: expected at least two objects, one to keep back, got "
            f"{len(names)}"
        )
    held = set(names[: min(max(math.ceil(share * len(names)), 1), len(names) - 1)])
    return [key for key in keys if (groups[key] in held) == (part == "held")]


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8")).hexdigest()


class _PhotoPart(PhotoSource):
    def __init__(self, source: PhotoSource, part: Part, share: float) -> None:
        self.kind, self.spec, self.left_out = source.kind, source.spec, source.left_out
        self._source, self._part, self._share = source, part, share

    def pool(self, shard: int) -> Sequence[Hashable]:
        return _chosen(self._source, shard, self._part, self._share)

    def group(self, key: Any) -> str:
        return self._source.group(key)

    def photo(self, key: Any, long_side: int) -> Photo:
        return self._source.photo(key, long_side)


class _CutOutPart(CutOutSource):
    def __init__(self, source: CutOutSource, part: Part, share: float) -> None:
        self.kind, self.spec = source.kind, source.spec
        self._source, self._part, self._share = source, part, share

    def pool(self, shard: int) -> Sequence[Hashable]:
        return _chosen(self._source, shard, self._part, self._share)

    def group(self, key: Any) -> str:
        return self._source.group(key)

    def cut_out(self, key: Any) -> CutOut:
        return self._source.cut_out(key)
