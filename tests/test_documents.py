# SPDX-License-Identifier: Apache-2.0
"""Documents: lines that fit a terminal, links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 100
PLACES = ("*.md", ".github/*.md", "docs/**/*.md", "examples/*.md", "amodal_ros/**/*.md")
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for pattern in PLACES for path in ROOT.glob(pattern)
)


def too_long(text: str) -> list[str]:
    """Lines beyond `COLUMNS`, but for rows of tables and links, which cannot be broken."""
    return [
        f"line {number}: {len(line)} columns"
        for number, line in enumerate(text.splitlines(), start=1)
        if len(line) > COLUMNS
        and not line.startswith("|")
        and not re.fullmatch(r"\s*(?:- )?!?\[?!?\[[^\]]*\]\([^)]*\)(?:\]\([^)]*\))?[.,]?", line)
    ]


def anchors(text: str) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(document: Path) -> list[str]:
    """Links of a document to files or headings that do not exist."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = document.parent / file if file else document
        if not target.exists() or (
            anchor
            and target.suffix == ".md"
            and anchor not in anchors(target.read_text(encoding="utf-8"))
        ):
            dead.append(link)
    return dead


def test_documents_are_found() -> None:
    assert {"README.md", "docs/node.md", "docs/log/tracking.md"} <= set(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_lines_fit(name: str) -> None:
    assert too_long((ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    assert dead_links(ROOT / name) == []


def test_what_is_wrong_is_noticed(tmp_path: Path) -> None:
    assert too_long("x" * 101 + "\n| " + "x" * 101 + " |\n") == ["line 1: 101 columns"]
    (tmp_path / "other.md").write_text("# A title\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#a-title) [b](other.md#none) [c](none.md) [d](https://x.invalid)")
    assert dead_links(page) == ["other.md#none", "none.md"]
