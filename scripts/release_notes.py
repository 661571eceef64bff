# SPDX-License-Identifier: Apache-2.0
"""Prints the changelog's section of a release; fails where the tag is not the package's version.

``python scripts/release_notes.py v0.2.0``, in the checkout's root or elsewhere.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def release_notes(tag: str, root: Path = ROOT) -> str:
    """The text of a release.

    Raises:
        ValueError: the package has another version, or the changelog's newest release is another.
    """
    package = (root / "amodal_ros" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', package, flags=re.MULTILINE)
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.search(
        r"^## \[(\d+\.\d+\.\d+)\][^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    found = {
        "package": version and version[1],
        "changelog": released and released[1],
    }
    for place, number in found.items():
        if tag != f"v{number}":
            raise ValueError(f"expected tag v{number}, the version of the {place}, got {tag}")
    assert released is not None
    return released[2].strip() + "\n"


def main() -> int:
    """Command line; returns the exit status."""
    if len(sys.argv) != 2:
        print(f"usage: {sys.argv[0]} TAG", file=sys.stderr)
        return 2
    try:
        print(release_notes(sys.argv[1]), end="")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
