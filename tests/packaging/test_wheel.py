# SPDX-License-Identifier: Apache-2.0
"""pip: the wheel's contents, and an editable installation in an environment of its own."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest


def pip(*arguments: object, python: str | Path = sys.executable) -> None:
    command = [str(python), "-m", "pip", "-q", "--disable-pip-version-check", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def wheel_names(
    copy_checkout: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    source = copy_checkout(folder / "source")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def tracked(root: Path, *folders: str) -> set[str]:
    listing = subprocess.run(
        ["git", "ls-files", "--", *folders], cwd=root, capture_output=True, text=True, check=True
    )
    return set(listing.stdout.split())


def test_wheel_holds_the_whole_package(wheel_names: set[str], repository_root: Path) -> None:
    expected = tracked(repository_root, "amodal_ros")
    assert {"amodal_ros/py.typed", "amodal_ros/inference/predictor.py"} <= expected
    assert any(name.endswith("/manifest.json") for name in expected)
    assert any(name.endswith("/suffix.onnx") for name in expected)
    assert any(name.startswith("amodal_ros/demo_clip/") for name in expected)
    assert expected - wheel_names == set()


def test_wheel_holds_launch_files_and_parameters(
    wheel_names: set[str], repository_root: Path
) -> None:
    share = {name.split(".data/data/", 1)[1] for name in wheel_names if ".data/data/" in name}
    files = tracked(repository_root, "launch", "config")
    assert {"launch/perception.launch.py", "config/perception.yaml"} <= files
    assert {f"share/amodal_ros/{name}" for name in files} <= share
    assert "share/amodal_ros/package.xml" in share
    assert "share/ament_index/resource_index/packages/amodal_ros" in share


def test_wheel_holds_nothing_else(wheel_names: set[str]) -> None:
    tops = {name.split("/", 1)[0] for name in wheel_names}
    assert {top for top in tops if "-" not in top} == {"amodal_ros"}


def test_editable_installation_resolves_console_scripts(
    copy_checkout: Callable[[Path], Path], tmp_path: Path, repository_root: Path
) -> None:
    source = copy_checkout(tmp_path / "source")
    # This environment's packages stand in for pip and the dependencies.
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python3.*/site-packages"))
    own = [path for path in sys.path if "site-packages" in path or "dist-packages" in path]
    (site / "borrowed.pth").write_text("\n".join(own) + "\n")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed")
    pip("install", *options, "-e", source, python=python)

    parser = configparser.ConfigParser()
    parser.read(repository_root / "setup.cfg", encoding="utf-8")
    lines = parser["options.entry_points"]["console_scripts"].strip().splitlines()
    probe = (
        "import importlib, sys; module, _, name = sys.argv[1].partition(':');"
        "found = importlib.import_module(module);"
        "assert callable(getattr(found, name)); print(found.__file__)"
    )
    for line in lines:
        script, _, target = line.partition(" = ")
        assert os.access(tmp_path / "venv" / "bin" / script, os.X_OK)
        answer = subprocess.run(
            [python, "-c", probe, target],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        assert Path(answer.stdout.strip()).is_relative_to(source)
