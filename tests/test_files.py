# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear complete or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from amodal_ros.files import (
    file_sha256,
    remove_unfinished,
    replace_folder,
    unfinished_name,
    whole_file,
    whole_folder,
    write_bytes,
    write_text,
)


def test_the_digest_is_that_of_all_pieces(tmp_path: Path) -> None:
    data = bytes(range(256)) * 8192 + b"end"  # two pieces and a rest
    (tmp_path / "file").write_bytes(data)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "none")


def test_a_file_replaces_an_older_one(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"old")
    write_text(tmp_path / "file", "größer\n")
    assert (tmp_path / "file").read_bytes() == "größer\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_until_its_end_a_file_is_not_there_and_no_pattern_finds_it(tmp_path: Path) -> None:
    with whole_file(tmp_path / "part-000.tar") as unfinished:
        unfinished.write_bytes(b"half")
        assert list(tmp_path.glob("*.tar")) == []
        assert unfinished == unfinished_name(tmp_path / "part-000.tar")
    assert (tmp_path / "part-000.tar").read_bytes() == b"half"


def _fail_in_file(path: Path) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_bytes(b"new")
        raise KeyError("stopped")


def _fail_in_folder(path: Path) -> None:
    with whole_folder(path) as unfinished:
        (unfinished / "part").write_bytes(b"new")
        raise KeyError("stopped")


def test_after_an_error_the_old_file_stays_alone(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"old")
    with pytest.raises(KeyError, match="stopped"):
        _fail_in_file(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_replaces_an_older_one(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with whole_folder(tmp_path / "folder") as unfinished:
            (unfinished / text).touch()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "folder",
        "folder/new",
    ]


def test_after_an_error_the_old_folder_stays_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    with pytest.raises(KeyError, match="stopped"):
        _fail_in_folder(tmp_path / "folder")
    assert {path.name for path in tmp_path.rglob("*")} == {"folder", "old"}


def test_a_finished_folder_moves_to_its_place(tmp_path: Path) -> None:
    (tmp_path / "finished").mkdir()
    replace_folder(tmp_path / "finished", tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    unfinished_name(tmp_path / "chunk_1").mkdir()
    unfinished_name(tmp_path / "chunk_2").touch()
    unfinished_name(tmp_path / "other").touch()
    (tmp_path / "chunk_3").mkdir()
    remove_unfinished(tmp_path, "chunk_*")
    left = {unfinished_name(tmp_path / "other").name, "chunk_3"}
    assert {path.name for path in tmp_path.iterdir()} == left
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["chunk_3"]
