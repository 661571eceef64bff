# SPDX-License-Identifier: Apache-2.0
"""The ROS workspace: our message packages, built with colcon."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from scripts.bootstrap import prerequisites, ros
from scripts.bootstrap.environment import Environment
from scripts.bootstrap.steps import Stamp, digest, run


def prepare(env: Environment) -> None:
    """Builds the message packages unless they are there and unchanged.

    Raises:
        BootstrapError: a build tool is missing or the build failed.
    """
    packages = _packages(env)
    sources = [file for package in packages for file in package.rglob("*") if file.is_file()]
    stamp = Stamp(env.workspace / "amodal_ros.json")
    # A new virtual environment is another Python, numpy and ROS to build for.
    wanted = digest(sources, env.stamp.get("venv"), env.stamp.get("ros"), "merged")
    if stamp.get("messages") != wanted:
        prerequisites.check_tools(venv=False)
        stamp.begin("messages")
        _build(env, packages)
        stamp.end("messages", wanted)


def _packages(env: Environment) -> list[Path]:
    """Returns the folders to build: vision_msgs only where ROS does not have it."""
    packages = [env.root / "msg"]
    prefixes = [env.venv, *map(Path, env.ros.prefixes)]
    if not any(ros.has_package(prefix, "vision_msgs") for prefix in prefixes):
        packages.append(env.root / "scripts" / "ros_wheels" / "vision_msgs")
    return packages


def _build(env: Environment, packages: list[Path]) -> None:
    # Always from nothing: it takes half a minute, and no removed message stays behind.
    for folder in ("build", "install"):
        shutil.rmtree(env.workspace / folder, ignore_errors=True)
    names = " and ".join("amodal_msgs" if p.name == "msg" else p.name for p in packages)
    command: list[str | Path] = [env.venv / "bin" / "colcon", "--log-base", env.workspace / "log"]
    command += ["build", "--base-paths", *packages]
    command += ["--build-base", env.workspace / "build"]
    command += ["--install-base", env.workspace / "install", "--merge-install"]
    command += ["--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={env.python}"]
    # The user's own colcon defaults must not change this build. colcon by itself would also limit
    # make by the machine's load, which in a container is that of everybody else.
    jobs = f"-j{len(os.sched_getaffinity(0))}"
    environ = {"MAKEFLAGS": jobs, **env.environ, "COLCON_HOME": str(env.workspace / "colcon")}
    run(
        f"Message packages {names} (about 15 s each)",
        command,
        env.log("colcon"),
        env=environ,
        cwd=env.workspace,
    )
