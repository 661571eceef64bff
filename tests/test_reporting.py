# SPDX-License-Identifier: Apache-2.0
"""What measurements share: summaries, where they come from, tables in documents."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.reporting import (
    generated_block,
    mark,
    markdown_table,
    measure,
    package_versions,
    put_block,
    replace_block,
    summarise,
)

DOCUMENT = "before\n<!-- generated a b -->\nold\n<!-- end a b -->\nafter\n"


def test_measure_leaves_the_warm_up_out():
    calls = []
    samples = measure(lambda: calls.append(None), warm_up=3, repeats=5)
    assert len(calls) == 8
    assert len(samples) == 5
    assert all(sample >= 0 for sample in samples)


def test_summary():
    summary = summarise([4.0, 1.0, 2.0, 3.0, 5.0])
    assert (summary["n"], summary["median"], summary["iqr"]) == (5, 3.0, 2.0)
    assert (summary["q1"], summary["q3"], summary["min"], summary["max"]) == (2.0, 4.0, 1.0, 5.0)


def test_summary_keeps_four_digits():
    assert summarise([0.000123456])["median"] == 0.0001235
    assert summarise([123456.7])["median"] == 123457.0
    assert summarise([0.0])["median"] == 0.0


@pytest.mark.parametrize("samples", [[], [1.0, math.nan]])
def test_summary_refuses(samples):
    with pytest.raises(ValueError, match="expected finite samples"):
        summarise(samples)


@pytest.mark.parametrize(("value", "met"), [(39.9, True), (40.0, True), (40.1, False)])
def test_mark(value, met):
    assert mark(value, 40.0, "ms") == {"value": value, "limit": 40.0, "unit": "ms", "met": met}


def test_versions_are_of_what_is_installed():
    assert set(package_versions(["numpy", "no-such-distribution"])) == {"numpy"}


def test_a_table_has_its_numbers_on_the_right():
    assert markdown_table([["a", "b"], ["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
    assert markdown_table([["a", "b"]], text_columns=2) == "| a | b |\n| --- | --- |"


def test_only_what_lies_between_the_marks_changes():
    text = replace_block(DOCUMENT, "a b", "new\n")
    assert text == "before\n<!-- generated a b -->\n\nnew\n\n<!-- end a b -->\nafter\n"
    assert generated_block(text, "a b") == "new"
    assert replace_block(text, "a b", "new") == text


@pytest.mark.parametrize("text", ["none", DOCUMENT * 2])
def test_a_document_without_each_mark_once_is_refused(text: str, tmp_path: Path):
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"page\.md: expected the marks '<!-- generated a"):
        put_block(path, "a b", "new")
    assert path.read_text() == text


def test_a_document_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInputError, match=r"none\.md: no document"):
        put_block(tmp_path / "none.md", "a", "new")
