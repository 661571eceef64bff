# SPDX-License-Identifier: Apache-2.0
"""Announced, timed and logged steps, and the stamp that remembers which are done."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

# Lines of pip and colcon that tell somebody who waits what is going on.
_PROGRESS = re.compile(
    r"Downloading \S+ \(\d{2,}\.?\d* MB\)|Building wheel for \S+(?= .*started)"
    r"|Installing collected packages|(?:Starting >>>|Finished <<<|Failed +<<<) .*"
)
_OFFLINE = re.compile(
    r"NewConnectionError|NameResolutionError|Temporary failure in name resolution"
    r"|Network is unreachable|ConnectTimeoutError|ProxyError|Failed to establish a new connection"
)


class BootstrapError(Exception):
    """The environment cannot be made; the message is one line that says what to do."""


class StepKilledError(BootstrapError):
    """A step was ended by a signal; what it left behind cannot be trusted."""


def say(text: str) -> None:
    """Prints at once, also into a pipe."""
    print(text, flush=True)


def run(
    title: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str],
    cwd: Path,
) -> None:
    """Runs a command, shows its milestones and its duration, and writes its output to a file.

    Raises:
        StepKilledError: a signal ended the command.
        BootstrapError: the command failed; the end of its output has been printed.
    """
    say(f"  {title} ...")
    start = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as log_file,
        subprocess.Popen(
            [str(word) for word in command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            log_file.write(line)
            log_file.flush()
            milestone = _PROGRESS.search(line)
            if milestone:
                say(f"    {time.monotonic() - start:4.0f} s  {milestone.group().strip()}")
    if process.returncode:
        _fail(title, process.returncode, log)
    say(f"    done in {time.monotonic() - start:.0f} s: {title.split(' (')[0]}")


def _fail(title: str, status: int, log: Path) -> None:
    if status < 0:
        raise StepKilledError(f"{title}: killed by signal {-status}; run it again")
    output = log.read_text(encoding="utf-8")
    if _OFFLINE.search(output):
        raise BootstrapError(
            f"{title}: no connection to the Python package index; it is needed in the first run "
            f"and when requirements have changed (output: {log})"
        )
    say("\n".join("    | " + line[:160] for line in output.splitlines()[-20:]))
    raise BootstrapError(f"{title} failed with exit status {status} (output: {log})")


def digest(files: Iterable[Path], *facts: object) -> str:
    """Returns a hash of the files' names and contents and of the facts' texts."""
    sha = hashlib.sha256()
    for fact in facts:
        sha.update(repr(fact).encode())
    for file in sorted(files):
        sha.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return sha.hexdigest()


class Stamp:
    """A small JSON file beside what was made: which layers are done, and from what.

    A layer that was begun and neither finished nor failed cleanly was interrupted; whatever it
    left behind cannot be trusted.
    """

    _BEGUN = "begun"

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self) -> dict[str, str]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self, content: Mapping[str, str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        fresh.replace(self._path)

    def get(self, layer: str) -> str | None:
        """Returns what a finished layer was made from, or None."""
        return self._read().get(layer)

    def interrupted(self) -> bool:
        """Says whether a layer was begun and never ended."""
        return self._BEGUN in self._read()

    def begin(self, layer: str) -> None:
        """Notes that a layer is being made; it counts as not done from now on."""
        content = {key: value for key, value in self._read().items() if key != layer}
        self._write({**content, self._BEGUN: layer})

    def end(self, layer: str, value: str | None) -> None:
        """Notes that a layer is done, or with None that it failed and left nothing behind."""
        content = {key: old for key, old in self._read().items() if key != self._BEGUN}
        if value is not None:
            content[layer] = value
        self._write(content)
