# SPDX-License-Identifier: Apache-2.0
"""What must be on the machine before anything can be made, and the command that installs it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

from scripts.bootstrap.ros import sudo
from scripts.bootstrap.steps import BootstrapError


def _found(programs: Iterable[str | None]) -> bool:
    return any(program and shutil.which(program) for program in programs)


def check_tools(*, venv: bool) -> None:
    """Checks for what compiles the message packages and, if asked, makes environments.

    Raises:
        BootstrapError: something is missing; one line names all of it.
    """
    needs = [
        ("a C compiler", "build-essential", _found((os.environ.get("CC"), "cc", "gcc", "clang"))),
        (
            "a C++ compiler",
            "build-essential",
            _found((os.environ.get("CXX"), "c++", "g++", "clang++")),
        ),
        ("make", "build-essential", _found(("make",))),
        ("CMake", "cmake", _found(("cmake",))),
        ("Python's headers", _python_package("dev"), _python_header().is_file()),
    ]
    if venv:
        # Debian packages this part of the standard library apart.
        modules = [importlib.util.find_spec(module) for module in ("venv", "ensurepip")]
        needs.append(("Python's venv module", _python_package("venv"), all(modules)))
    missing = [(what, package) for what, package, present in needs if not present]
    if missing:
        packages = " ".join(dict.fromkeys(package for _, package in missing))
        names = ", ".join(what for what, _ in missing)
        raise BootstrapError(f"missing: {names}: {sudo()}apt install {packages}")


def check_path(root: Path) -> None:
    """Checks that the tools that build here can take the checkout's path; spaces are fine.

    Raises:
        BootstrapError: a character means something to CMake, make or a list of paths.
    """
    strange = re.search(r"[^\w .,+=@%~/-]", str(root))
    if strange is not None:
        raise BootstrapError(
            f"the path of this checkout, {str(root)!r}, holds {strange.group()!r}, which CMake "
            "and make cannot take: move it to a folder whose name is of letters, digits, spaces "
            "and ._- alone"
        )


def usable_home() -> bool:
    """Says whether the home directory is there and can be written to, as pip and others expect."""
    try:
        with tempfile.TemporaryFile(dir=Path.home()):
            return True
    except (OSError, RuntimeError):  # RuntimeError: neither HOME nor an entry of this user
        return False


def check_disk(folder: Path, gigabytes: float) -> None:
    """Checks for free space.

    Raises:
        BootstrapError: there is less than asked for.
    """
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise BootstrapError(
            f"{gigabytes:.0f} GB of free disk needed in {folder}, {free:.1f} GB are free"
        )


def _python_header() -> Path:
    return Path(sysconfig.get_paths()["include"]) / "Python.h"


def _python_package(kind: str) -> str:
    return f"python3.{sys.version_info.minor}-{kind}"
