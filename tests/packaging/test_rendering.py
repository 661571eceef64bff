# SPDX-License-Identifier: Apache-2.0
"""What the rendering tests need: found, installed, or said; and skipped where it is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.bootstrap import rendering, ros
from scripts.bootstrap.environment import Environment
from scripts.bootstrap.rendering import OpenGl
from scripts.bootstrap.steps import BootstrapError
from scripts.closing_line import count

# Loaded by every Python of the environment that it makes: no library of that kind can be opened.
BLIND = """
import ctypes
load = ctypes.CDLL.__init__
def refuse(self, name, *rest, **options):
    if name and any(part in str(name) for part in ("OSMesa", "EGL", "OpenGL", "libGL.")):
        raise OSError(f"{name} is not there")
    load(self, name, *rest, **options)
ctypes.CDLL.__init__ = refuse
"""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which OSMesa and the furniture models cannot be found."""
    (tmp_path / "sitecustomize.py").write_text(BLIND)
    environ = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
        "SWEETHOME3D_FURNITURE": str(tmp_path / "nowhere"),
    }
    environ.pop("MUJOCO_GL", None)
    return environ


@pytest.mark.parametrize("platform", [None, "osmesa"])
def test_without_opengl_everything_is_collected_and_what_draws_is_skipped(
    bare: dict[str, str], tmp_path: Path, repository_root: Path, platform: str | None
) -> None:
    """The whole suite is collected once; with MUJOCO_GL set, the folders that draw."""
    if platform is not None:
        bare["MUJOCO_GL"] = platform
    folders = ["tests"] if platform is None else ["tests/training/scenes", "tests/benchmarks"]
    results = tmp_path / "results.xml"
    options = [
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "-m",
        "(rendering or furniture) and not slow",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--junitxml", str(results), *folders],
        cwd=repository_root,
        env=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "error" not in done.stdout.splitlines()[-1]
    passed, failed, skipped = count(results)
    assert (passed, failed) == (0, 0)
    assert skipped >= (20 if platform is None else 15)
    assert "needs OpenGL without a screen" in done.stdout


class Machine:
    """A machine on which steps are only noted; `draws` says with which OpenGL it can draw."""

    def __init__(self, patch: pytest.MonkeyPatch, root: Path) -> None:
        self.draws: list[OpenGl] = []
        self.steps: list[list[str]] = []
        self.on_install: list[OpenGl] = []
        self.programs = {"apt-get", "apt-cache", "sudo"}
        self.known = {"libosmesa6", "libegl1", "libegl-mesa0", "libopengl0"}
        self.prefix: list[str] | None = []
        self.furniture = root / "furniture"
        self.env = Environment(root, ros.Ros("", ()), {"SWEETHOME3D_FURNITURE": ""})
        patch.setattr(rendering, "FURNITURE", self.furniture)
        patch.setattr(rendering, "_draws", lambda env, opengl: opengl in self.draws)
        patch.setattr(rendering, "_root_prefix", lambda: self.prefix)
        patch.setattr(rendering, "known_to_apt", lambda packages: self.known >= set(packages))
        patch.setattr(rendering.shutil, "which", lambda name: name in self.programs or None)
        patch.setattr(rendering, "run", self.run)

    def run(self, title: str, command: Sequence[str], *_: object, **__: object) -> None:
        words = [str(word) for word in command]
        self.steps.append(words)
        if "install" in words:
            self.draws += self.on_install
            if "sweethome3d-furniture" in words:
                self.furniture.mkdir()

    def installed(self) -> list[str]:
        """The packages that apt was asked for."""
        found = [w for step in self.steps if "install" in step for w in step]
        return [w for w in found if re.match(r"lib|sweet", w)]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


def test_nothing_is_installed_where_all_is_there(machine: Machine) -> None:
    machine.draws = [OpenGl("osmesa")]
    machine.furniture.mkdir()
    assert rendering.provide(machine.env) == OpenGl("osmesa")
    assert machine.steps == []


def test_the_wheel_comes_first(machine: Machine) -> None:
    libraries = machine.env.venv / "lib" / "python3.12" / "site-packages" / "lavavu_osmesa.libs"
    libraries.mkdir(parents=True)
    (libraries / "libOSMesa-f6a8f160.so.8.0.0").write_text("library")
    machine.draws = [OpenGl("osmesa"), OpenGl("osmesa", libraries)]
    machine.furniture.mkdir()
    for _ in range(2):  # the link is there the second time
        assert rendering.provide(machine.env) == OpenGl("osmesa", libraries)
    assert (libraries / "libOSMesa.so").read_text() == "library"


@pytest.mark.parametrize("prefix", [[], ["sudo", "-n"]])
def test_what_is_missing_is_installed(machine: Machine, prefix: list[str]) -> None:
    machine.prefix = prefix
    machine.on_install = [OpenGl("osmesa")]
    assert rendering.provide(machine.env) == OpenGl("osmesa")
    assert machine.installed() == ["libosmesa6", "sweethome3d-furniture"]
    assert all(step[: len(prefix) + 1] == [*prefix, "env"] for step in machine.steps)


def test_distributions_without_osmesa_have_egl(machine: Machine) -> None:
    machine.known.remove("libosmesa6")
    machine.on_install = [OpenGl("egl")]
    assert rendering.provide(machine.env) == OpenGl("egl")
    assert machine.installed()[:3] == ["libegl1", "libegl-mesa0", "libopengl0"]


@pytest.mark.parametrize("lacking", ["root", "apt", "network"])
def test_what_cannot_be_installed_is_said(
    machine: Machine,
    lacking: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if lacking == "root":
        machine.prefix = None
    elif lacking == "apt":
        machine.programs.clear()
    else:

        def fail(*_: object, **__: object) -> None:
            raise BootstrapError("Debian's list of packages failed")

        monkeypatch.setattr(rendering, "run", fail)
    assert rendering.provide(machine.env) is None
    said = capsys.readouterr().out
    assert "Tests that render are skipped; they need: sudo apt install libosmesa6" in said
    machine.draws = [OpenGl("osmesa")]
    assert rendering.provide(machine.env) == OpenGl("osmesa")
    assert "furniture are skipped; they need: sudo apt install sweet" in capsys.readouterr().out
    assert machine.steps == []


def test_an_own_choice_is_obeyed(machine: Machine) -> None:
    machine.draws = [OpenGl("osmesa"), OpenGl("glfw")]
    machine.furniture.mkdir()
    env = Environment(machine.env.root, machine.env.ros, {"MUJOCO_GL": "glfw"})
    assert rendering.provide(env) == OpenGl("glfw")


def test_models_elsewhere(machine: Machine, tmp_path: Path) -> None:
    environ = {"SWEETHOME3D_FURNITURE": str(tmp_path / "unpacked")}
    assert not rendering.has_furniture(environ)
    (tmp_path / "unpacked").mkdir()
    assert rendering.has_furniture(environ)


def test_what_draws_is_kept_for_a_later_demo(machine: Machine, tmp_path: Path) -> None:
    machine.env.workspace.mkdir(exist_ok=True)
    assert rendering.kept(machine.env) is None
    libraries = tmp_path / "lavavu osmesa.libs"
    libraries.mkdir()
    for opengl in (OpenGl("osmesa", libraries), OpenGl("egl")):
        rendering.keep(machine.env, opengl)
        assert rendering.kept(machine.env) == opengl
    rendering.keep(machine.env, OpenGl("osmesa", libraries))
    libraries.rmdir()
    assert rendering.kept(machine.env) is None
    rendering.keep(machine.env, None)
    assert rendering.kept(machine.env) is None
    (machine.env.workspace / "opengl.json").write_text("[]", encoding="utf-8")
    assert rendering.kept(machine.env) is None
