# SPDX-License-Identifier: Apache-2.0
"""The demo's command as a process, its perception node with a fast predictor."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

TIMEOUT_S = 180.0
PROCESSES = ("demo_fake_perception", "demo.recorder", "demo.camera")


class Demo:
    """A running demo."""

    def __init__(
        self,
        root: Path,
        arguments: Sequence[str],
        delay_s: float,
        largest_file: int | None = None,
        **variables: str,
    ) -> None:
        command = [sys.executable, "-m", "tests.ros.demo.demo_fake_perception", "demo", *arguments]

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        environment = {**os.environ, "FAKE_DELAY_S": str(delay_s), **variables}
        self.process = subprocess.Popen(
            command,
            cwd=root,
            env={name: value for name, value in environment.items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=limit if largest_file else None,
        )
        self._children: dict[str, int] = {}

    def finish(self) -> tuple[int, str]:
        """Exit code and everything it wrote."""
        output, _ = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, output

    def children(self) -> dict[str, int]:
        """Pids of the three processes, once all of them run."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            for pid, parent, line in process_table():
                name = next((name for name in PROCESSES if name in line), None)
                if parent == self.process.pid and name is not None:
                    self._children[name] = pid
            if len(self._children) == len(PROCESSES):
                return self._children
            time.sleep(0.05)
        raise AssertionError(f"only {sorted(self._children)} were started")

    def wait_for_frames(self, out: Path) -> None:
        """Until the camera plays."""
        deadline = time.monotonic() + TIMEOUT_S
        log = out / "logs" / "camera.log"
        while not (log.exists() and '"event": "frame"' in log.read_text()):
            assert time.monotonic() < deadline, "no frame was played"
            time.sleep(0.05)

    def survivors(self) -> list[int]:
        """Children that still run, after a moment to end."""
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline:
            running = {pid for pid, _, _ in process_table()}
            left = [pid for pid in self._children.values() if pid in running]
            if not left:
                return []
            time.sleep(0.05)
        return left


def process_table() -> Iterator[tuple[int, int, str]]:
    """Pid, parent and command line of every process that has not ended."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            yield int(folder.name), int(parent), line
