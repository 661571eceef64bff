# SPDX-License-Identifier: Apache-2.0
"""The commands around the engines: help, wrong options, the table of builds."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from amodal_ros.backends.tensorrt.library import TensorRtLibrary
from amodal_ros.errors import BackendError
from amodal_ros.model_folder.manifest import default_model_dir
from benchmarks import tensorrt_builds as table
from export import to_trt
from export.trt import build_set
from tests.export.trt_support import write_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def test_help_is_instant_and_needs_no_tensorrt() -> None:
    code = (
        "import sys, runpy; sys.argv = ['to_trt.py', '--help']\n"
        "try: runpy.run_path('export/to_trt.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "assert not {'onnx', 'numpy', 'tensorrt_rtx'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--target" in done.stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--out", "/proc/none"], "/proc/none: cannot be written to: "),
        (["--workspace", "-5"], "workspace: expected 0 or more MiB, got -5"),
        (["--max-batch", "0"], "max_batch: expected at least 1, got 0"),
        (["--image", "no.png", "--box", "1", "2", "3", "4"], "no.png: expected an image, cannot"),
        (["--box", "1", "2", "3", "4"], "expected images with boxes, got 0 images and 1 boxes"),
        (["--model", "/nowhere"], "/nowhere/manifest.json: no such file"),
    ],
)
def test_wrong_options_are_one_line_before_any_work(
    folder: Path, caplog, monkeypatch, capfd, change, message
) -> None:
    monkeypatch.setattr(build_set, "plan_graphs", None)
    arguments = ["--model", str(folder), "--flavor", "tensorrt_rtx", "--target", "SM89", *change]
    with caplog.at_level(logging.INFO):
        assert to_trt.main(arguments) == 1
    (line,) = caplog.messages
    assert line.startswith(message)
    assert "WARN" not in capfd.readouterr().err


@pytest.mark.parametrize("missing", ["tensorrt", "GPU"])
def test_without_arguments_the_model_that_ships_or_one_line(caplog, monkeypatch, missing) -> None:
    """What is missing here, and the command that builds ahead of time."""
    models = []

    def load(flavor: str) -> TensorRtLibrary:
        if missing == "tensorrt":
            raise BackendError(f"{flavor} cannot be imported")
        return TensorRtLibrary(flavor, None, "10.3")

    def no_gpu() -> None:
        raise BackendError("no GPU")

    monkeypatch.setattr(build_set, "load_library", load)
    monkeypatch.setattr(build_set, "CudaPython", no_gpu)
    monkeypatch.setattr(build_set, "load_manifest", lambda model: models.append(model))
    for name in ("load_memory", "with_memory"):
        monkeypatch.setattr(build_set, name, lambda *_: None)
    with caplog.at_level(logging.INFO):
        assert to_trt.main([]) == 1
    (line,) = caplog.messages
    assert ("cannot be imported; " if missing == "tensorrt" else "no GPU; ") in line
    assert "python export/to_trt.py --flavor tensorrt_rtx --target SM89" in line
    assert models == [default_model_dir()]


def test_missing_packages_are_named_with_the_remedy(folder: Path, caplog, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "export.trt.build_set", None)
    with caplog.at_level(logging.INFO):
        assert to_trt.main(["--model", str(folder)]) == 1
    assert 'building needs: pip install -e ".[tensorrt]" onnx' in caplog.text


def test_table_of_builds(folder: Path, tmp_path: Path) -> None:
    out, document = tmp_path / "builds.json", tmp_path / "tensorrt.md"
    document.write_text("before\n<!-- generated builds -->\nold\n<!-- end builds -->\nafter\n")
    arguments = ["--model", folder, "--targets", "SM86", "--out", out, "--document", document]
    assert table.main([str(a) for a in (*arguments, "--precisions", "fp32")]) == 0
    assert table.main([str(a) for a in (*arguments, "--precisions", "fp16")]) == 0
    rows = json.loads(out.read_text())["results"]["rows"]
    assert [(row["precision"], row["target"]) for row in rows] == [
        ("fp16", "SM86"),
        ("fp32", "SM86"),
    ]
    assert all(engine["mb"] >= 0 for engine in rows[0]["engines"].values())
    text = document.read_text()
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| tiny | full | 64 | fp16 | SM86 |" in text


def test_document_without_marks_is_refused(folder: Path, tmp_path: Path, caplog) -> None:
    document = tmp_path / "text.md"
    document.write_text("text")
    arguments = ["--model", folder, "--targets", "SM86", "--document", document]
    arguments += ["--precisions", "fp32", "--out", tmp_path / "builds.json"]
    assert table.main([str(a) for a in arguments]) == 1
    assert "text.md: expected the marks '<!-- generated builds -->'" in caplog.text
    assert document.read_text() == "text"
