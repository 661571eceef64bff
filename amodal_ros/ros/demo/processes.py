# SPDX-License-Identifier: Apache-2.0
"""Child processes of the demo: their logs, their events, a ROS domain for them alone."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from amodal_ros.errors import AmodalError

_PATIENCE_S = 10.0  # after SIGINT, before SIGTERM
_KILL_AFTER_S = 5.0  # after SIGTERM, before SIGKILL
_TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1
# Variables by which DDS finds others beyond this machine or past its domain.
_WAYS_OUT = ("ROS_DISCOVERY_SERVER", "ROS_STATIC_PEERS", "ROS_LOCALHOST_ONLY")


class ChildError(AmodalError):
    """A process of the demo ended when it should not have, or failed."""


class Child:
    """A running process.

    Args:
        name: For messages and the log file's name.
        command: Its command line.
        environment: Its whole environment.
        log_folder: Existing folder; the output goes to `NAME.log` there.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_folder: Path,
    ) -> None:
        self.name = name
        self.log = log_folder / f"{name}.log"
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        # A session of its own, so that Ctrl-C reaches only the parent, which ends the children in
        # order; and a signal from the kernel should the parent be killed.
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_die_with_parent if _LIBC else None,
        )
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def failure(self) -> ChildError:
        """What to tell about its end: the reason and the last lines of its output."""
        if self._reader is not None:
            self._reader.join(timeout=1.0)
        code = self.exit_code
        reason = "it still runs" if code is None else _reason(code)
        lines = [f"the {self.name} process failed ({reason}); all of its output: {self.log}"]
        return ChildError("\n".join([*lines, *self._tail]))

    def follow(self, on_line: Callable[[Child, str], None]) -> None:
        """Reads the output in a thread: into the log and, line by line, to `on_line`."""
        self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Asks it to end (SIGINT), then more firmly."""
        for number, patience in ((signal.SIGINT, _PATIENCE_S), (signal.SIGTERM, _KILL_AFTER_S)):
            if self.exit_code is None:
                self._process.send_signal(number)
                self.wait(patience)
        if self.exit_code is None:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join(timeout=2.0)

    def interrupt(self) -> None:
        """Sends SIGINT."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGINT)

    def wait(self, timeout_s: float) -> int | None:
        """Waits for the end; the exit code, or None if it still runs."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def _read(self, on_line: Callable[[Child, str], None]) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        log = self.log.open("w", encoding="utf-8", buffering=1)
        with suppress(OSError), log:
            for line in stream:
                # On a full disk the process must go on being read, or it would stand still.
                with suppress(OSError):
                    log.write(line)
                if parse_event(line) is None:
                    self._tail.append(line.rstrip())
                on_line(self, line.rstrip())


class Family:
    """Children that end together; use as a context manager."""

    def __init__(self, environment: Mapping[str, str], log_folder: Path) -> None:
        self._environment = environment
        self._log_folder = log_folder
        self._children: list[Child] = []
        self.lines: queue.SimpleQueue[tuple[Child, str]] = queue.SimpleQueue()

    def __enter__(self) -> Family:
        return self

    def __exit__(self, *exception: object) -> None:
        for child in self._children:
            child.interrupt()
        for child in reversed(self._children):
            child.stop()

    def start(self, commands: Mapping[str, Sequence[str]]) -> list[Child]:
        """Starts all processes, then the threads that read them (forking first, threads later)."""
        for name, command in commands.items():
            child = Child(name, command, self._environment, self._log_folder)
            self._children.append(child)
        for child in self._children:
            child.follow(lambda source, line: self.lines.put((source, line)))
        return self._children

    def check(self, *required: Child) -> None:
        """Looks whether all required children still run.

        Raises:
            ChildError: One has ended; the message gives the end of its output.
        """
        for child in required:
            if child.exit_code is not None:
                raise child.failure()


def ros_environment(domain_id: int | None, log_folder: Path, held: ExitStack) -> dict[str, str]:
    """The environment of all children.

    Args:
        domain_id: A ROS domain to join, with the user's own settings of discovery. None: one of
            the demo's own, on this machine alone, whatever the user's variables say: a robot's
            graph never gets the demo's pictures, and two demos do not meet.
        log_folder: Where ROS's own logs go unless the user has said where: not to the home
            directory, which may be missing or read-only.
        held: Keeps the demo's own domain until it is closed.
    """
    environment = dict(os.environ)
    environment["PYTHONUNBUFFERED"] = "1"
    environment.setdefault("ROS_LOG_DIR", str(log_folder.resolve() / "ros"))
    if domain_id is not None:
        return {**environment, "ROS_DOMAIN_ID": str(domain_id)}
    for name in _WAYS_OUT:
        environment.pop(name, None)
    environment["ROS_DOMAIN_ID"] = str(claim_domain(held))
    if environment.get("ROS_DISTRO") == "humble":
        environment["ROS_LOCALHOST_ONLY"] = "1"
    else:
        environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    return environment


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}"


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


# https://docs.ros.org/en/jazzy/Concepts/Intermediate/About-Domain-ID.html: up to 101 is free of
# clashes with the ephemeral ports of Linux; 0 is everybody's default.
DOMAINS = range(1, 102)
# RTPS 2.2, 9.6.1.1: discovery multicast, and the first participant's own port.
_FIRST_PORT, _PORTS_PER_DOMAIN, _OFFSETS = 7400, 250, (0, 10)


class NoFreeDomainError(AmodalError):
    """Every ROS domain is in use."""


def claim_domain(held: ExitStack, domains: Sequence[int] = DOMAINS) -> int:
    """Takes a ROS domain in which no process is and that no other caller holds.

    Args:
        held: The domain is free again when this stack is closed, or its process has ended.
        domains: To choose from, at random.

    Raises:
        NoFreeDomainError: All are in use.
    """
    for domain in random.sample(domains, len(domains)):
        if _claim(domain, held):
            return domain
    raise NoFreeDomainError(f"no free ROS domain from {domains[0]} to {domains[-1]}")


def _claim(domain: int, held: ExitStack) -> bool:
    """A file that is locked tells those who ask at the same moment; ports tell all others."""
    path = Path(tempfile.gettempdir()) / f"amodal_ros_domain_{domain}_{os.getuid()}.lock"
    lock = held.enter_context(path.open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return all(_is_free(_FIRST_PORT + _PORTS_PER_DOMAIN * domain + n) for n in _OFFSETS)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


_MARK = "@demo "


def send_event(kind: str, **values: Any) -> None:
    """Writes one event as a line of its own."""
    sys.stdout.write(_MARK + json.dumps({"event": kind, **values}) + "\n")
    sys.stdout.flush()


def parse_event(line: str) -> dict[str, Any] | None:
    """The event on a line of output; None: the line is something else."""
    if not line.startswith(_MARK):
        return None
    event: dict[str, Any] = json.loads(line[len(_MARK) :])
    return event
