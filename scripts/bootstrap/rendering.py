# SPDX-License-Identifier: Apache-2.0
"""What the rendering tests need: OpenGL without a screen, and Debian's furniture models.

OpenGL comes as a wheel where there is one for this Python, everything else from apt, where this
user may install. What cannot be had is said, and the tests that need it are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.bootstrap.environment import Environment
from scripts.bootstrap.ros import sudo
from scripts.bootstrap.steps import BootstrapError, run, say

FURNITURE = Path("/usr/share/sweethome3d/furniture")
FURNITURE_VARIABLE = "SWEETHOME3D_FURNITURE"
_PROBE = "import mujoco; c = mujoco.GLContext(8, 8); c.make_current(); c.free()"
_PROBE_S = 60
_KEPT = "opengl.json"  # in the workspace
# Debian and Ubuntu have OSMesa until Mesa 25.1, and the other three from then on, too.
_OPENGL_PACKAGES = (("libosmesa6",), ("libegl1", "libegl-mesa0", "libopengl0"))


@dataclass(frozen=True)
class OpenGl:
    """A way to draw without a screen: MuJoCo's name for it, and where its libraries are."""

    platform: str
    libraries: Path | None = None


def provide(env: Environment) -> OpenGl | None:
    """Installs what is missing and can be installed, and says what is skipped without it."""
    opengl = _find_opengl(env)
    if opengl is None:
        packages = next((p for p in _OPENGL_PACKAGES if known_to_apt(p)), _OPENGL_PACKAGES[0])
        if install_packages(env, packages, "OpenGL without a screen"):
            opengl = _find_opengl(env)
        if opengl is None:
            say_skipped("Tests that render", packages)
    furniture = ("sweethome3d-furniture",)
    if (
        opengl is not None
        and not has_furniture(env.environ)
        and not (
            install_packages(env, furniture, "3D models, 120 MB") and has_furniture(env.environ)
        )
    ):
        say_skipped("Tests that render furniture", furniture)
    return opengl


def keep(env: Environment, opengl: OpenGl | None) -> None:
    """Notes what `provide` found, for a later `scripts/demo`, which does not look for it."""
    libraries = None if opengl is None or opengl.libraries is None else str(opengl.libraries)
    platform = None if opengl is None else opengl.platform
    text = json.dumps({"platform": platform, "libraries": libraries})
    (env.workspace / _KEPT).write_text(text + "\n", encoding="utf-8")


def kept(env: Environment) -> OpenGl | None:
    """What was found last; None: nothing, or it is gone."""
    try:
        found = json.loads((env.workspace / _KEPT).read_text(encoding="utf-8"))
        platform, libraries = found["platform"], found["libraries"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if platform is None or (libraries is not None and not Path(libraries).is_dir()):
        return None
    return OpenGl(str(platform), None if libraries is None else Path(libraries))


def has_furniture(environ: Mapping[str, str]) -> bool:
    """Says whether the models are there; a variable names another folder than Debian's."""
    return Path(environ.get(FURNITURE_VARIABLE) or FURNITURE).is_dir()


def link_wheel(env: Environment) -> Path | None:
    """Gives the wheel's OSMesa the name that programs look for; returns its folder, if any."""
    for library in env.venv.glob("lib/python3*/site-packages/lavavu_osmesa.libs/libOSMesa-*.so*"):
        link = library.with_name("libOSMesa.so")
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(library.name)
        return library.parent
    return None


def _find_opengl(env: Environment) -> OpenGl | None:
    wheel = link_wheel(env)
    chosen = env.environ.get("MUJOCO_GL")
    candidates = [OpenGl("osmesa", wheel)] if wheel else []
    candidates += [OpenGl("osmesa"), OpenGl("egl")]
    if chosen:
        candidates = [c for c in candidates if c.platform == chosen] or [OpenGl(chosen)]
    return next((candidate for candidate in candidates if _draws(env, candidate)), None)


def _draws(env: Environment, opengl: OpenGl) -> bool:
    environ = {**env.environ, "MUJOCO_GL": opengl.platform}
    if opengl.libraries is not None:
        environ["LD_LIBRARY_PATH"] = str(opengl.libraries)
    try:
        probe = subprocess.run(
            [env.python, "-c", _PROBE],
            env=environ,
            capture_output=True,
            timeout=_PROBE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def known_to_apt(packages: Sequence[str]) -> bool:
    """Says whether apt has all of these packages."""
    if not shutil.which("apt-cache"):
        return False
    command = ["apt-cache", "--quiet=2", "show", *packages]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def install_packages(env: Environment, packages: Sequence[str], what: str) -> bool:
    """Installs packages where this user may; returns whether that succeeded."""
    root = _root_prefix()
    if root is None or not shutil.which("apt-get"):
        return False
    # Without a terminal, and without a lock or a network to wait for.
    options = ["-o", "DPkg::Lock::Timeout=60", "-o", "Acquire::Retries=1"]
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options]
    install = [*apt, "install", "-y", "--no-install-recommends", *packages]
    log = env.log("apt")
    try:
        run("Debian's list of packages", [*apt, "update"], log, env=env.environ, cwd=env.root)
        title = f"Debian package {' '.join(packages)} ({what})"
        run(title, install, log, env=env.environ, cwd=env.root)
    except BootstrapError as error:
        say(f"    {error}")
        return False
    return True


def _root_prefix() -> list[str] | None:
    """What makes a command root's without asking for a password; None: nothing does."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    probe = subprocess.run(
        ["sudo", "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return ["sudo", "-n"] if probe.returncode == 0 else None


def say_skipped(tests: str, packages: Sequence[str]) -> None:
    """Says which tests are skipped, and what would let them run."""
    say(f"  {tests} are skipped; they need: {sudo()}apt install {' '.join(packages)}")
