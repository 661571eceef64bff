# SPDX-License-Identifier: Apache-2.0
"""Parts of documents that commands write: what stands between two marks."""

from __future__ import annotations

from pathlib import Path

from amodal_ros.errors import InvalidInputError


def put_between(path: Path, begin: str, end: str, body: str) -> None:
    """Replaces what stands between two marks of a Markdown document.

    Raises:
        InvalidInputError: the document does not have each mark once.
    """
    text = path.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise InvalidInputError(f"{path}: expected {begin!r} and {end!r}, once each")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    path.write_text(f"{before}{begin}\n\n{body}\n\n{end}{after}", encoding="utf-8")
