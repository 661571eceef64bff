# SPDX-License-Identifier: Apache-2.0
"""colcon: in the checkout's root with its defaults, and in a workspace with base paths."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXECUTABLES = {
    "amodal_bag",
    "amodal_perception",
    "amodal_masks",
    "amodal_demo",
    "amodal_demo_camera",
    "amodal_demo_recorder",
}


def colcon(folder: Path, *arguments: str) -> str:
    program = Path(sys.executable).parent / "colcon"
    # Neither the user's defaults nor this project's, unless the folder has them.
    environment = {**os.environ, "COLCON_HOME": str(folder / "colcon_home")}
    environment.pop("COLCON_DEFAULTS_FILE", None)
    result = subprocess.run(
        [str(program), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


def packages(folder: Path, *arguments: str) -> dict[str, str]:
    lines = colcon(folder, "list", *arguments).splitlines()
    return {line.split("\t")[0]: line.split("\t")[1] for line in lines}


def check_installation(install: Path) -> None:
    share = install / "amodal_ros" / "share" / "amodal_ros"
    assert (share / "launch" / "perception.launch.py").is_file()
    assert (share / "config" / "perception.yaml").is_file()
    index = install / "amodal_ros" / "share" / "ament_index" / "resource_index" / "packages"
    assert (index / "amodal_ros").is_file()
    executables = install / "amodal_ros" / "lib" / "amodal_ros"
    assert {file.name for file in executables.iterdir()} == EXECUTABLES


def shell(install: Path, command: str) -> str:
    script = f". '{install}/local_setup.bash' && cd / && {command}"
    # colcon's own scripts take no interpreter in a folder with spaces.
    python = install.parent / "python3"
    if not python.exists():
        python.symlink_to(sys.executable)
    environment = {**os.environ, "COLCON_PYTHON_EXECUTABLE": str(python)}
    result = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_root_and_workspace_find_both_packages(
    copy_checkout: Callable[[Path], Path], tmp_path: Path
) -> None:
    root = copy_checkout(tmp_path / "src" / "amodal_ros")
    assert packages(root) == {"amodal_ros": ".", "amodal_msgs": "msg"}
    found = packages(tmp_path, "--base-paths", "src/amodal_ros", "src/amodal_ros/msg")
    assert found == {"amodal_ros": "src/amodal_ros", "amodal_msgs": "src/amodal_ros/msg"}
    # A robot's own vision_msgs must not be shadowed by ours.
    assert set(packages(tmp_path)) == {"amodal_ros"}


def test_colcon_build_installs_the_package(
    copy_checkout: Callable[[Path], Path], tmp_path: Path
) -> None:
    root = copy_checkout(tmp_path / "amodal_ros")
    colcon(root, "build", "--packages-select", "amodal_ros")
    check_installation(root / "install")
    location = "python3 -c 'import amodal_ros; print(amodal_ros.__file__)'"
    assert Path(shell(root / "install", location).strip()).is_relative_to(root / "install")
    # With an interpreter in a folder with spaces, as this environment's may be, the executables
    # that setuptools writes name it in a line that the system does not read. ROS's own is not.
    demo = f"{root}/install/amodal_ros/lib/amodal_ros/amodal_demo"
    helped = shell(root / "install", f'"$COLCON_PYTHON_EXECUTABLE" {demo} --help')
    assert "--source" in helped


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "arguments"),
    [
        ("", ()),
        ("src/amodal_ros", ("--base-paths", "src/amodal_ros", "src/amodal_ros/msg")),
    ],
    ids=["root", "workspace"],
)
def test_whole_build_gives_usable_messages(
    copy_checkout: Callable[[Path], Path], tmp_path: Path, folder: str, arguments: tuple[str, ...]
) -> None:
    copy_checkout(tmp_path / folder)
    python = f"-DPython3_EXECUTABLE={sys.executable}"
    colcon(tmp_path, "build", *arguments, "--cmake-args", "-DBUILD_TESTING=OFF", python)
    check_installation(tmp_path / "install")
    probe = "from amodal_msgs.msg import AmodalMaskArray as m; import sys; print(m.__module__)"
    where = "import amodal_msgs; print(amodal_msgs.__file__)"
    output = shell(tmp_path / "install", f'{sys.executable} -c "{probe}; {where}"')
    assert str(tmp_path / "install") in output
