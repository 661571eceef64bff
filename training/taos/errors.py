# SPDX-License-Identifier: Apache-2.0
"""What can go wrong while composites are made."""

from __future__ import annotations

from amodal_ros.errors import InvalidInputError


class CorruptRecordError(InvalidInputError):
    """A source file or one record in it cannot be used; names both.

    Attributes:
        file: path of the file (inside an archive: ``archive!member``).
        record: which record of the file, or ``"file"`` for the file as a whole.
        reason: what came and what was expected.
    """

    def __init__(self, file: object, record: object, reason: str) -> None:
        """Stores the place and builds the message ``file, record R: reason``."""
        super().__init__(f"{file}, record {record}: {reason}")
        self.file = str(file)
        self.record = str(record)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """Pickles by its three parts, so that it crosses process borders."""
        return type(self), (self.file, self.record, self.reason)


class RejectedError(Exception):
    """One drawing attempt came to nothing; `reason` is the key it is counted under."""

    def __init__(self, reason: str) -> None:
        """Keeps the reason, a short snake_case key."""
        super().__init__(reason)
        self.reason = reason
