# SPDX-License-Identifier: Apache-2.0
"""The ROS workspace: our message packages, built with colcon."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from scripts.bootstrap import prerequisites, ros
from scripts.bootstrap.environment import Environment
from scripts.bootstrap.steps import Stamp, digest, run

# In the order in which they are built. vision_msgs is what the node cannot do without; tf2_msgs is
# for target_frame, the others are for the examples.
_VENDORED = {
    "demo": ("vision_msgs",),
    "test": ("vision_msgs", "tf2_msgs", "object_recognition_msgs", "moveit_msgs"),
}


def prepare(env: Environment, kind: str) -> None:
    """Builds the message packages of ``kind``, "demo" or "test", unless they are there.

    What the tests need holds all that the demo needs.

    Raises:
        BootstrapError: a build tool is missing or the build failed.
    """
    stamp = Stamp(env.workspace / "amodal_ros.json")
    wanted = {other: _digest(env, _packages(env, other)) for other in _VENDORED}
    enough = (wanted[kind], wanted["test"])
    if stamp.get("messages") not in enough:
        prerequisites.check_tools(venv=False)
        stamp.begin("messages")
        _build(env, _packages(env, kind))
        stamp.end("messages", wanted[kind])


def _digest(env: Environment, packages: list[Path]) -> str:
    sources = [file for package in packages for file in package.rglob("*") if file.is_file()]
    # A new virtual environment is another Python, numpy and ROS to build for.
    names = sorted(package.name for package in packages)
    return digest(sources, env.stamp.get("venv"), env.stamp.get("ros"), "merged", names)


def _packages(env: Environment, kind: str) -> list[Path]:
    """Returns the folders to build: of other projects' only what ROS does not have."""
    prefixes = [env.venv, *map(Path, env.ros.prefixes)]
    vendored = [
        env.root / "scripts" / "ros_wheels" / name
        for name in _VENDORED[kind]
        if not any(ros.has_package(prefix, name) for prefix in prefixes)
    ]
    return [env.root / "msg", *vendored]


def _build(env: Environment, packages: list[Path]) -> None:
    # Always from nothing: it takes half a minute, and no removed message stays behind.
    for folder in ("build", "install"):
        shutil.rmtree(env.workspace / folder, ignore_errors=True)
    names = ", ".join("amodal_msgs" if p.name == "msg" else p.name for p in packages)
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
