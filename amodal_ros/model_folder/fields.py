# SPDX-License-Identifier: Apache-2.0
"""Strict reading of decoded JSON: every field is typed, none is missing, none is left over."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from amodal_ros.errors import ManifestError


class FieldReader:
    """Reads the fields of one JSON object, each once, and knows which were not read.

    Raises:
        ManifestError: when it is no JSON object.
    """

    def __init__(self, content: object, place: str) -> None:
        if not isinstance(content, dict):
            raise ManifestError(f"{place}: expected an object, got {_shown(content)}")
        self.place = place
        self._unread = dict(content)

    def end(self) -> None:
        """Raises ManifestError, naming them, when fields are left that nobody read."""
        if self._unread:
            names = ", ".join(self.names())
            raise ManifestError(f"{self.place}: unknown field: {names}")

    def names(self) -> list[str]:
        """Names of the fields that have not been read."""
        return sorted(map(str, self._unread))

    def text(self, name: str, *, empty: bool = False) -> str:
        """A string; `empty`: it may be empty."""
        value = self._take(name)
        if not isinstance(value, str) or not (value or empty):
            raise self._wrong(name, "a string" if empty else "a non-empty string", value)
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """One of the strings in `allowed`."""
        value = self._take(name)
        if value not in allowed or not isinstance(value, str):
            raise self._wrong(name, f"one of {', '.join(allowed)}", value)
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def integer(self, name: str, minimum: int) -> int:
        """A whole number of at least `minimum`."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise self._wrong(name, f"a whole number >= {minimum}", value)
        return value

    def integers(self, name: str, count: int, minimum: int) -> tuple[int, ...]:
        """`count` whole numbers of at least `minimum`."""
        value = self._take(name)
        good = isinstance(value, list) and len(value) == count
        if not good or any(type(entry) is not int or entry < minimum for entry in value):
            raise self._wrong(name, f"{count} whole numbers >= {minimum}", value)
        return tuple(value)

    def number(self, name: str, minimum: float = -math.inf) -> float:
        """A finite number of at least `minimum`."""
        value = self._take(name)
        if not _is_number(value) or value < minimum:
            bound = "" if minimum == -math.inf else f" >= {minimum}"
            raise self._wrong(name, f"a finite number{bound}", value)
        return float(value)

    def triple(self, name: str, positive: bool = False) -> tuple[float, float, float]:
        """Three finite numbers, one for each channel."""
        value = self._take(name)
        good = isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))
        if not good or (positive and min(value) <= 0):
            raise self._wrong(name, f"3 finite{' positive' if positive else ''} numbers", value)
        return float(value[0]), float(value[1]), float(value[2])

    def sha256(self, name: str) -> str:
        """64 lower-case hexadecimal digits."""
        value = self._take(name)
        if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
            raise self._wrong(name, "64 hexadecimal digits", value)
        return value

    def shape(self, name: str) -> tuple[int | str, ...]:
        """A tensor's shape: positive whole numbers, and names for lengths that vary."""
        value = self._take(name)
        if not isinstance(value, list) or not all(map(_is_length, value)):
            raise self._wrong(name, "a list of positive whole numbers and names", value)
        return tuple(value)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A JSON object of any content."""
        value = self._take(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return value

    def section(self, name: str) -> FieldReader:
        """A JSON object whose fields are read in turn."""
        return FieldReader(self._take(name), f"{self.place}: {name}")

    def sections(self, name: str) -> list[FieldReader]:
        """A list, not empty, of JSON objects whose fields are read in turn."""
        value = self._take(name)
        if not isinstance(value, list) or not value:
            raise self._wrong(name, "a non-empty list of objects", value)
        return [
            FieldReader(entry, f"{self.place}: {name}[{index}]")
            for index, entry in enumerate(value)
        ]

    def _take(self, name: str) -> Any:
        if name not in self._unread:
            raise ManifestError(f"{self.place}: {name}: expected this field, found none")
        return self._unread.pop(name)

    def _wrong(self, name: str, expected: str, value: object) -> ManifestError:
        return ManifestError(f"{self.place}: {name}: expected {expected}, got {_shown(value)}")


def _is_number(value: object) -> bool:
    """Whether `value` is a finite number and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_length(value: object) -> bool:
    """Whether `value` can be a length in a shape."""
    if isinstance(value, str):
        return bool(value)
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _shown(value: object) -> str:
    """`value` as it appears in a message, shortened."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
