# SPDX-License-Identifier: Apache-2.0
"""The result file of a table that is played cell by cell, and can be gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amodal_ros.errors import InvalidInputError
from benchmarks.common import write_result
from benchmarks.streaming.report import marks

Row = dict[str, Any]


class Cells:
    """Rows by contestant, number of objects and rate; the file holds all that are known.

    Raises:
        InvalidInputError: the file was played with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self._path, self._settings = path, dict(settings)
        self._rows: dict[tuple[str, int, float], Row] = {}
        if resume and path.is_file():
            document = json.loads(path.read_text(encoding="utf-8"))
            wanted = json.loads(json.dumps(self._settings))
            other = sorted(
                name
                for name in {*wanted, *document["settings"]}
                if wanted.get(name) != document["settings"].get(name)
            )
            if other:
                raise InvalidInputError(
                    f"{path}: expected cells of the same settings, got others: {', '.join(other)}"
                )
            for row in document["results"]["rows"]:
                self._rows[_key(row)] = row

    def has(self, contestant: str, objects: int, rate_hz: float) -> bool:
        """Whether a cell was played."""
        return (contestant, objects, rate_hz) in self._rows

    def add(self, row: Row) -> None:
        """Takes a cell in, and writes the file."""
        self._rows[_key(row)] = row
        self.write()

    def write(self) -> None:
        """Writes the file: rows by number of objects, as they came."""
        rows = sorted(self._rows.values(), key=lambda row: row["objects"])
        results = {"rows": rows, "marks": marks(rows)}
        write_result(self._path, "streaming accuracy", self._settings, results)


def _key(row: Row) -> tuple[str, int, float]:
    return row["contestant"], row["objects"], row["rate_hz"]
