# SPDX-License-Identifier: Apache-2.0
"""The commands as a newcomer calls them: help, refusals, static checks, the closing line."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from scripts.count_tests import count, main

# Without these no machine runs a shell script.
BASICS = ("bash", "cat", "dirname", "env", "id", "readlink", "sed", "uname")


@pytest.fixture
def bare_machine(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has a shell and little else."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in BASICS:
        (programs / name).symlink_to(str(shutil.which(name)))
    return {"PATH": str(programs), "HOME": str(tmp_path), "LANG": "C.UTF-8"}


def call(
    script: Path, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *arguments], env=env, cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["demo", "test", "web"])
def test_no_python(repository_root: Path, bare_machine: dict[str, str], name: str) -> None:
    if Path("/usr/bin/python3").exists():
        # Found by its full path too; an old one stands for none.
        bare_machine["PYTHON"] = str(Path(bare_machine["PATH"]) / "python3")
    result = call(repository_root / "scripts" / name, env=bare_machine)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"scripts/{name}: missing: Python 3.10 to 3.14")
    assert "sudo apt install python3 python3-venv" in line


def test_python_too_old(repository_root: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.8.18\nexit 1\n')
    old.chmod(0o755)
    result = call(repository_root / "scripts" / "demo", env={**os.environ, "PYTHON": str(old)})
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "Python 3.8.18" in line


def test_another_python_is_chosen_and_said(
    repository_root: Path, bare_machine: dict[str, str]
) -> None:
    """The first one in PATH is one that nothing here runs on."""
    programs = Path(bare_machine["PATH"])
    old, good = programs / "python3", programs / "python3.12"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.1\nexit 1\n')
    good.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    for program in (old, good):
        program.chmod(0o755)
    result = call(repository_root / "scripts" / "demo", "--help", env=bare_machine)
    assert result.returncode == 0
    assert "--source" in result.stdout
    assert result.stderr.startswith("python3 is Python 3.9.1, which does not fit: using ")


def test_no_compiler(
    copy_checkout: Callable[[Path], Path], tmp_path: Path, bare_machine: dict[str, str]
) -> None:
    root = copy_checkout(tmp_path / "amodal_ros")
    result = call(
        root / "scripts" / "demo", env={**bare_machine, "PYTHON": sys.executable}, cwd=tmp_path
    )
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "a C++ compiler, make, CMake" in line
    assert "apt install build-essential cmake" in line
    assert not (root / ".venv").exists()


def test_help_of_demo_needs_no_environment(
    copy_checkout: Callable[[Path], Path], tmp_path: Path, bare_machine: dict[str, str]
) -> None:
    root = copy_checkout(tmp_path / "amodal_ros")
    # The interpreter alone, without a single package.
    environ = {**bare_machine, "PYTHON": sys.executable, "PYTHONNOUSERSITE": "1"}
    isolated = Path(bare_machine["PATH"]) / "python3"
    isolated.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S "$@"\n')
    isolated.chmod(0o755)
    environ["PYTHON"] = str(isolated)
    result = call(root / "scripts" / "demo", "--help", env=environ, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for option in ("--source", "--box", "--boxes", "--rate", "--frames", "--out", "--model"):
        assert option in result.stdout
    assert not (root / ".venv").exists()


def test_help_of_test(repository_root: Path) -> None:
    result = call(repository_root / "scripts" / "test", "--help")
    assert result.returncode == 0
    assert "--full" in result.stdout


def test_shell_scripts_are_clean(repository_root: Path) -> None:
    result = call(repository_root / "scripts" / "check", "shell")
    assert result.returncode == 0, result.stdout
    assert all(name in result.stdout for name in ("scripts/demo", "scripts/test", ".ci/run"))


def test_unknown_check_is_refused(repository_root: Path) -> None:
    result = call(repository_root / "scripts" / "check", "tpyes")
    assert result.returncode == 2
    assert "unknown check 'tpyes'" in result.stderr


JUNIT = """<testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="also good"><system-out>text</system-out></testcase>
<testcase classname="a" name="bad"><failure message="m"/></testcase>
<testcase classname="a" name="worse"><failure message="m"/></testcase>
<testcase classname="a" name="worse"><error message="tear-down"/></testcase>
<testcase classname="a" name="broken"><error message="set-up"/></testcase>
<testcase classname="a" name="away"><skipped message="m"/></testcase>
</testsuite></testsuites>"""


def test_closing_line_counts_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.xml"
    results.write_text(JUNIT)
    assert count(results) == (2, 3, 1)
    assert main([str(results)]) == 1
    assert capsys.readouterr().out == "2 passed, 3 failed, 1 skipped\n"


def test_closing_line_of_a_good_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.xml"
    results.write_text('<testsuite><testcase classname="a" name="good"/></testsuite>')
    assert main([str(results)]) == 0
    assert capsys.readouterr().out == "1 passed, 0 failed\n"


def test_no_tests_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "missing.xml")]) == 1
    assert capsys.readouterr().out == "0 passed, 0 failed\n"
