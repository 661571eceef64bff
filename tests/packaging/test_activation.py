# SPDX-License-Identifier: Apache-2.0
"""``env.sh``, read by a real shell: any path, another ROS before it, no home directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.bootstrap import activation, ros
from scripts.bootstrap.environment import Environment
from scripts.bootstrap.rendering import OpenGl
from scripts.bootstrap.steps import BootstrapError


def environment(root: Path, found: ros.Ros) -> Environment:
    """A workspace in which amodal_msgs is built."""
    messages = root / ".ros" / "install" / "lib" / "python3.12" / "site-packages" / "amodal_msgs"
    messages.mkdir(parents=True)
    (messages / "__init__.py").touch()
    return Environment(root, found, ros.build_environment(found, root / ".venv", {}))


def entered(env: Environment, **before: str) -> dict[str, str]:
    """The variables of a shell that has sourced the script."""
    script = f'set -eu; . "$0"; {Path("/usr/bin/env")} -0'
    answer = subprocess.run(
        ["bash", "-c", script, str(env.workspace / "env.sh")],
        env={"PATH": "/usr/bin:/bin", **before},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in answer.stdout.split("\0") if line)


@pytest.mark.parametrize("folder", ["plain", "My  Robots", "it's $HOME"])
def test_every_path_is_whole(tmp_path: Path, folder: str) -> None:
    root = tmp_path / folder
    env = environment(root, ros.Ros("", ()))
    activation.write(env, None)
    entry = entered(env, PYTHONPATH="/other/ros", AMENT_PREFIX_PATH="/other/ros")
    install = root / ".ros" / "install"
    assert entry["PYTHONPATH"] == f"{install}/lib/python3.12/site-packages"
    assert entry["AMENT_PREFIX_PATH"] == f"{install}:{root}/.venv"
    assert entry["CMAKE_PREFIX_PATH"] == f"{install}:{root}/.venv"
    assert entry["LD_LIBRARY_PATH"] == f"{install}/lib"
    assert entry["PATH"] == f"{root}/.venv/bin:/usr/bin:/bin"
    assert entry["VIRTUAL_ENV"] == f"{root}/.venv"
    assert entry["RMW_IMPLEMENTATION"] == "rmw_fastrtps_cpp"
    # Not in the home directory, which may be missing or read-only.
    assert entry["ROS_LOG_DIR"] == f"{root}/.ros/log/ros"
    assert "MUJOCO_GL" not in entry
    assert "HOME" not in entry


def test_a_home_of_our_own_where_there_is_none(tmp_path: Path) -> None:
    env = environment(tmp_path, ros.Ros("", ()))
    home = str(tmp_path / ".ros" / "home")
    activation.write(Environment(tmp_path, env.ros, {**env.environ, "HOME": home}), None)
    assert entered(env, HOME="/proc/nowhere")["HOME"] == home


def test_the_sourced_ros_is_kept(tmp_path: Path) -> None:
    env = environment(tmp_path, ros.Ros("jazzy", ("/opt/ros/jazzy",)))
    activation.write(env, None)
    entry = entered(env, PYTHONPATH="/opt/py", AMENT_PREFIX_PATH="/opt/ros", ROS_LOG_DIR="/log")
    install = tmp_path / ".ros" / "install"
    assert entry["PYTHONPATH"] == f"{install}/lib/python3.12/site-packages:/opt/py"
    assert entry["AMENT_PREFIX_PATH"] == f"{install}:/opt/ros"
    assert entry["ROS_LOG_DIR"] == "/log"
    assert "RMW_IMPLEMENTATION" not in entry


def test_what_draws_is_found(tmp_path: Path) -> None:
    env = environment(tmp_path, ros.Ros("", ()))
    activation.write(env, OpenGl("osmesa", Path("/venv/lavavu osmesa.libs")))
    entry = entered(env, LD_LIBRARY_PATH="/own")
    install = tmp_path / ".ros" / "install"
    assert entry["LD_LIBRARY_PATH"] == f"{install}/lib:/own:/venv/lavavu osmesa.libs"
    assert entry["MUJOCO_GL"] == "osmesa"
    assert entered(env, MUJOCO_GL="egl")["MUJOCO_GL"] == "egl"


def test_messages_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / ".ros").mkdir()
    env = Environment(tmp_path, ros.Ros("", ()), {})
    with pytest.raises(BootstrapError, match=r"amodal_msgs is not in .*: remove .*\.ros, run"):
        activation.write(env, None)
