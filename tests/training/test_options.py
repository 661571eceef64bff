# SPDX-License-Identifier: Apache-2.0
"""Options of a dataclass: its types, its defaults, and what its docstring says."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from training.options import add_options, attribute_texts, from_options


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of a test.

    Attributes:
        folder: where things are,
            on two lines.
        span: low and high, 0 to 100 %.
        kind: of two.
        words: any number.
        loud: or not.
        cache: or None.

    More text: not an attribute.
    """

    folder: Path
    span: tuple[float, float] = (0.1, 0.9)
    kind: Literal["a", "b"] = "a"
    words: tuple[str, ...] = ()
    loud: bool = False
    cache: Path | None = None


def parse(*argv: str, **options: Any) -> Settings:
    parser = argparse.ArgumentParser()
    add_options(parser, Settings, **options)
    return from_options(Settings, parser.parse_args(argv))


def test_defaults_and_values() -> None:
    assert parse("--folder", "x") == Settings(folder=Path("x"))
    argv = ["--folder", "x", "--span", "0", "1", "--kind", "b", "--words", "p", "q", "--loud"]
    assert parse(*argv, "--cache", "c") == Settings(
        folder=Path("x"),
        span=(0.0, 1.0),
        kind="b",
        words=("p", "q"),
        loud=True,
        cache=Path("c"),
    )


def test_names_and_fields_without_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    given = {"leave_out": ("words", "loud"), "names": {"span": "range"}}
    assert parse("--folder", "x", "--range", "0", "1", **given).span == (0, 1)
    for argv in ([], ["--folder", "x", "--kind", "c"], ["--folder", "x", "--loud"]):
        with pytest.raises(SystemExit):
            parse(*argv, **given)
    assert "--folder" in capsys.readouterr().err


def test_help_is_the_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    said = attribute_texts(Settings)
    assert said["folder"] == "where things are, on two lines"
    assert set(said) == {"folder", "span", "kind", "words", "loud", "cache"}
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "low and high, 0 to 100 % (0.1 0.9)" in text


def test_a_command_may_have_other_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse("--folder", "x", defaults={"kind": "b"}).kind == "b"
    with pytest.raises(SystemExit):
        parse("--help", defaults={"kind": "b"})
    assert "of two (b)" in capsys.readouterr().out


def test_fields_that_no_option_can_have() -> None:
    @dataclass
    class Odd:
        table: dict

    Odd.__annotations__["table"] = dict
    with pytest.raises(TypeError, match="expected a number"):
        add_options(argparse.ArgumentParser(), Odd)
