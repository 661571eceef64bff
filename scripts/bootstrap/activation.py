# SPDX-License-Identifier: Apache-2.0
"""``.ros/env.sh``: what scripts/demo and scripts/test source to enter the environment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from scripts.bootstrap import ros
from scripts.bootstrap.environment import Environment
from scripts.bootstrap.rendering import OpenGl
from scripts.bootstrap.steps import BootstrapError


def write(env: Environment, opengl: OpenGl | None) -> None:
    """Writes ``env.sh``.

    The message packages are entered by our own lines, not by colcon's ``local_setup.bash``, which
    splits paths at spaces.

    Args:
        env: The finished environment.
        opengl: What the rendering tests draw with; None: nothing, or never looked for.

    Raises:
        BootstrapError: the message packages are not where they were built.
    """
    install = env.workspace / "install"
    before: dict[str, list[Path]] = {
        "PATH": [env.venv / "bin"],
        "PYTHONPATH": [_python_folder(install)],
        "LD_LIBRARY_PATH": [install / "lib"],
        "AMENT_PREFIX_PATH": [install],
        "CMAKE_PREFIX_PATH": [install],
    }
    lines = ["# Written by scripts/bootstrap; source it to work in this project's environment."]
    if not env.ros.sourced:
        # The virtual environment is the only ROS: what another one left behind is dropped.
        lines.append(f"unset {' '.join(ros.PATHS)}")
        before["AMENT_PREFIX_PATH"].append(env.venv)
        before["CMAKE_PREFIX_PATH"].append(env.venv)
    lines += [_prepend(name, folders) for name, folders in before.items()]
    fixed = {"VIRTUAL_ENV": str(env.venv)}
    if env.environ.get("HOME") == str(env.workspace / "home"):
        fixed["HOME"] = env.environ["HOME"]
    if "RMW_IMPLEMENTATION" in env.environ:
        fixed["RMW_IMPLEMENTATION"] = env.environ["RMW_IMPLEMENTATION"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in fixed.items()]
    # ROS writes its logs below the home directory otherwise, which may not exist or be read-only.
    lines += _defaults({"ROS_LOG_DIR": str(env.workspace / "log" / "ros")})
    if opengl is not None:
        lines += _defaults({"MUJOCO_GL": opengl.platform})
        if opengl.libraries is not None:
            lines.append(_append("LD_LIBRARY_PATH", opengl.libraries))
    (env.workspace / "env.sh").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _python_folder(install: Path) -> Path:
    """Where the messages' Python modules are; distributions name the folder differently."""
    found = sorted(install.glob("**/*-packages/amodal_msgs/__init__.py"))
    if not found:
        raise BootstrapError(
            f"amodal_msgs is not in {install}: remove {install.parent}, run again"
        )
    return found[0].parents[1]


def _prepend(name: str, folders: list[Path]) -> str:
    text = shlex.quote(":".join(map(str, folders)))
    return f'export {name}={text}"${{{name}:+:${name}}}"'


def _append(name: str, folder: Path) -> str:
    return f'export {name}="${{{name}:+${name}:}}"{shlex.quote(str(folder))}'


def _defaults(values: Mapping[str, str]) -> list[str]:
    return [f'[ -n "${{{k}:-}}" ] || export {k}={shlex.quote(v)}' for k, v in values.items()]
