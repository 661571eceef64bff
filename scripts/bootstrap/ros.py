# SPDX-License-Identifier: Apache-2.0
"""Which ROS 2 is used: the sourced one, or Jazzy from wheels where none is sourced."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.bootstrap.steps import BootstrapError

# What the nodes import and what builds our messages; a ROS base installation lacks vision_msgs.
_REQUIRED_PACKAGES = (
    "diagnostic_msgs",
    "lifecycle_msgs",
    "rosidl_default_generators",
    "sensor_msgs",
    "std_srvs",
    "vision_msgs",
    "visualization_msgs",
)
# The middleware that comes with the wheels.
WHEELS_RMW = "rmw_fastrtps_cpp"
_PACKAGE_INDEX = Path("share/ament_index/resource_index/packages")
# Variables by which one ROS environment reaches into another.
PATHS = ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH", "PYTHONPATH")


@dataclass(frozen=True)
class Ros:
    """A ROS 2: ``distro`` is empty for the wheels, ``prefixes`` are the sourced ones."""

    distro: str
    prefixes: tuple[str, ...]

    @property
    def sourced(self) -> bool:
        """True where a ROS installation is sourced."""
        return bool(self.distro)

    @property
    def label(self) -> str:
        """For people, and for the stamp."""
        return f"the sourced ROS 2 {self.distro}" if self.sourced else "ROS 2 Jazzy from wheels"


def has_package(prefix: str | Path, package: str) -> bool:
    """Says whether an ament prefix holds a package."""
    return (Path(prefix) / _PACKAGE_INDEX / package).is_file()


def detect(environ: Mapping[str, str]) -> Ros:
    """Returns the ROS 2 to use, after checking that it can be used from this Python.

    Raises:
        BootstrapError: no wheels for this machine, or the sourced ROS lacks something.
    """
    distro = environ.get("ROS_DISTRO", "")
    if not distro:
        _check_wheels()
        return Ros("", ())
    ros = Ros(distro, tuple(filter(None, environ.get("AMENT_PREFIX_PATH", "").split(":"))))
    _check_sourced(ros)
    _check_rmw(ros, environ.get("RMW_IMPLEMENTATION", ""))
    return ros


def _check_wheels() -> None:
    machine = platform.machine()
    libc, version = platform.libc_ver()
    new_enough = tuple(map(int, version.split(".")[:2])) >= (2, 28) if libc == "glibc" else False
    if machine != "x86_64" or not new_enough:
        raise BootstrapError(
            "ROS 2 comes as wheels for x86_64 with glibc 2.28 or newer only, this machine has "
            f"{machine} with {libc or 'another libc'} {version}: install ROS 2 "
            "(https://docs.ros.org/en/jazzy/Installation.html), then source it: "
            ". /opt/ros/jazzy/setup.bash"
        )


def _check_sourced(ros: Ros) -> None:
    probe = subprocess.run(
        [sys.executable, "-c", "import rclpy"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        reason = (probe.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BootstrapError(
            f"ROS 2 {ros.distro} is sourced, but {sys.executable} cannot import its rclpy "
            f"({reason}); name the Python that it was built for: PYTHON=/usr/bin/python3"
        )
    missing = [
        package
        for package in _REQUIRED_PACKAGES
        if not any(has_package(prefix, package) for prefix in ros.prefixes)
    ]
    if missing:
        names = " ".join(f"ros-{ros.distro}-{package.replace('_', '-')}" for package in missing)
        raise BootstrapError(f"missing in ROS 2 {ros.distro}: {sudo()}apt install {names}")


def _check_rmw(ros: Ros, rmw: str) -> None:
    if rmw and not any(has_package(prefix, rmw) for prefix in ros.prefixes):
        package = f"ros-{ros.distro}-{rmw.replace('_', '-')}"
        raise BootstrapError(
            f"RMW_IMPLEMENTATION={rmw} is not in ROS 2 {ros.distro}: {sudo()}apt install "
            f"{package}, or: unset RMW_IMPLEMENTATION"
        )


def foreign_rmw(ros: Ros, environ: Mapping[str, str]) -> str | None:
    """Returns the middleware that is asked for and that the wheels do not have, or None."""
    asked = environ.get("RMW_IMPLEMENTATION", "")
    return asked if asked and not ros.sourced and asked != WHEELS_RMW else None


def sudo() -> str:
    """Returns what precedes an apt command line: nothing for root, who may have no sudo."""
    return "" if os.geteuid() == 0 else "sudo "


def build_environment(ros: Ros, venv: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment in which pip and colcon run.

    With the wheels, the virtual environment is the only ament prefix: what another ROS left in
    the variables is dropped, and so is a middleware that they do not have.
    """
    env = dict(environ)
    if not ros.sourced:
        for name in PATHS:
            env.pop(name, None)
        env.update(AMENT_PREFIX_PATH=str(venv), CMAKE_PREFIX_PATH=str(venv))
        env["RMW_IMPLEMENTATION"] = WHEELS_RMW
    env["PATH"] = f"{venv / 'bin'}:{environ.get('PATH', os.defpath)}"
    env["VIRTUAL_ENV"] = str(venv)
    return env
