# SPDX-License-Identifier: Apache-2.0
"""The commands as a newcomer calls them: help, refusals, static checks, the closing line."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from scripts.closing_line import main

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
    assert result.stdout.endswith("\nstatic checks passed\n")
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


GOOD = '<testsuite><testcase classname="a" name="good"/></testsuite>'


def closing_line(folder: Path, junit: str, checks: str) -> tuple[int, str]:
    """Exit status and line; `junit` "" is a run that wrote no results."""
    results, checked = folder / "results.xml", folder / "checks.txt"
    if junit:
        results.write_text(junit)
    checked.write_text(checks)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        status = main([str(results), str(checked)])
    return status, printed.getvalue()


@pytest.mark.parametrize(
    ("junit", "checks", "expected"),
    [
        (GOOD, "passed", (0, "1 passed, 0 failed; static checks passed\n")),
        (GOOD, "failed: types", (1, "1 passed, 0 failed; static checks failed: types\n")),
        (JUNIT, "passed", (1, "2 passed, 3 failed, 1 skipped; static checks passed\n")),
        ("", "passed", (1, "0 passed, 0 failed; static checks passed\n")),
        (JUNIT[:200], "passed", (1, "tests broke off; static checks passed\n")),
    ],
    ids=["good", "a check failed", "tests failed", "no tests", "results cut off"],
)
def test_closing_line(tmp_path: Path, junit: str, checks: str, expected: tuple[int, str]) -> None:
    assert closing_line(tmp_path, junit, f"$ mypy\nstatic checks {checks}\n") == expected


@pytest.mark.parametrize("checks", ["", "$ mypy\n"])
def test_checks_that_broke_off_have_failed(tmp_path: Path, checks: str) -> None:
    assert closing_line(tmp_path, GOOD, checks) == (
        1,
        "1 passed, 0 failed; static checks broke off\n",
    )


def test_checks_say_by_name_what_failed(repository_root: Path, tmp_path: Path) -> None:
    unused = tmp_path / "unused.py"
    unused.write_text("import os\n")
    result = call(repository_root / "scripts" / "check", "lint", "format", str(unused))
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "static checks failed: lint"


def test_last_line_of_test_says_all_that_failed(repository_root: Path, tmp_path: Path) -> None:
    """Checks, weights and pytest are played; the script and its line are the real ones."""
    (tmp_path / "scripts").mkdir()
    for name in ("test", "closing_line.py"):
        shutil.copy(repository_root / "scripts" / name, tmp_path / "scripts")
    programs = {
        "scripts/environment.sh": f"use_environment() {{ :; }}\nproject_root={tmp_path}\n",
        "scripts/check": "#!/bin/sh\necho static checks failed: types\nexit 1\n",
        "python": f"""#!/bin/sh
case "$*" in
  *fetch_base_weights) exit 1 ;;
  *pytest*) echo '{GOOD}' > .ros/log/tests.xml; exit 1 ;;
  *) exec {shlex.quote(sys.executable)} "$@" ;;
esac
""",
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = call(tmp_path / "scripts" / "test", env=environ)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == (
        "1 passed, 0 failed; static checks failed: types; base weights missing; "
        "pytest ended with status 1"
    )
