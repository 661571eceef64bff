# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a dataset, said so that the user finds the place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from amodal_ros.errors import AmodalError


class DatasetError(AmodalError, ValueError):
    """A whole dataset cannot be used: no such folder, a file of another layout, unsafe content."""


class CorruptRecordError(DatasetError):
    """One record cannot be used.

    Attributes:
        file: the annotation (or image) file at fault.
        record: which record in it, e.g. ``"annotation 17"``.
        reason: what came and what was expected.
    """

    def __init__(self, file: Path, record: str, reason: str) -> None:
        super().__init__(f"{file}: {record}: {reason}")
        self.file = file
        self.record = record
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[Path, str, str]]:
        """Pickle by the three parts, so that it crosses the borders of worker processes."""
        return type(self), (self.file, self.record, self.reason)


@dataclass
class BadRecords:
    """Collects corrupt records instead of stopping at the first (``--skip-bad``)."""

    errors: list[CorruptRecordError] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.errors)

    def add(self, error: CorruptRecordError) -> None:
        """Remember one corrupt record."""
        self.errors.append(error)

    def lines(self) -> list[str]:
        """One line a record: file, record, reason."""
        return [str(error) for error in self.errors]


@contextmanager
def reading_record(file: Path, record: str) -> Iterator[None]:
    """Turn whatever a malformed record provokes into a `CorruptRecordError` that names it."""
    try:
        yield
    except DatasetError:
        raise
    except KeyError as error:
        raise CorruptRecordError(file, record, f"has no key {error}") from error
    except (TypeError, ValueError, IndexError, AttributeError, OSError) as error:
        raise CorruptRecordError(file, record, str(error) or type(error).__name__) from error
