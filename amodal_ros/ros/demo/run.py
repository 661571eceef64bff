# SPDX-License-Identifier: Apache-2.0
"""Starts the demo's three processes, shows how far they are, and ends them together."""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.progress_bar import progress_bar
from amodal_ros.ros.demo.cast import READY, REPORT, Part, cast_of
from amodal_ros.ros.demo.processes import Child, ChildError, Family, parse_event, ros_environment
from amodal_ros.ros.demo.results import print_summary
from amodal_ros.ros.demo.stage import Stage

FILES = ("overlay.mp4", "contact_sheet.png", "masks.json", "summary.json")
_WRITING_TIMEOUT_S = 120.0
_LEAST_FREE_BYTES = 2 * 2**20
_WORTH_SHOWING = ("[WARN]", "[ERROR]", "[FATAL]")


def run_demo(arguments: argparse.Namespace, stage: Stage, out: Path) -> None:
    """Plays the stage to a perception node and writes the results into `out`, a prepared folder.

    Raises:
        ChildError: A process failed or ended early. No process is left running, ever.
        NoFreeDomainError: Every ROS domain is in use.
        OSError: `out` cannot be written.
    """
    logs = out / "logs"
    console = Console(stderr=True)
    with ExitStack() as held:
        environment = ros_environment(arguments.domain_id, logs, held)
        number = environment["ROS_DOMAIN_ID"]
        whose = "" if arguments.domain_id is not None else " (the demo's own, on this machine)"
        console.print(f"ROS domain {number}{whose}; logs of all processes in {logs}")
        _play(arguments, stage, out, Family(environment, logs), console)
    print_summary(json.loads((out / "summary.json").read_text()))
    for name in FILES:
        console.print(f"wrote {out / name}")


def prepare_folder(out: Path) -> Path:
    """Makes the folder, without the results of an earlier run, and returns that of the logs.

    Raises:
        OSError: It cannot be written, or its disk is as good as full.
    """
    logs = out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for name in (*FILES, REPORT, READY):
        (out / name).unlink(missing_ok=True)
    with tempfile.TemporaryFile(dir=out) as probe:
        probe.write(bytes(_LEAST_FREE_BYTES))
    return logs


def _play(
    arguments: argparse.Namespace, stage: Stage, out: Path, family: Family, console: Console
) -> None:
    cast = cast_of(arguments, stage, out, events=True)
    parts = {"perception": cast.perception, "recorder": cast.recorder, "camera": cast.camera}
    commands = {name: command_of(part) for name, part in parts.items() if part is not None}
    with family:
        perception, recorder, camera = family.start(commands)
        try:
            _follow(family, stage, console, perception, recorder, camera)
        except KeyboardInterrupt:
            camera.stop()
            _let_write(recorder)
            raise
        if camera.wait(10.0) != 0:
            raise camera.failure()
        _let_write(recorder)
        family.check(perception)
    missing = [name for name in FILES if not (out / name).is_file()]
    if missing:
        raise ChildError(f"{', '.join(missing)} of the results are missing in {out}")


def command_of(part: Part) -> list[str]:
    """A part's command line; a node with parameters has the package's parameter file as well."""
    command = [sys.executable, "-m", part.module, *part.arguments]
    if part.parameters:
        command += ["--ros-args", "--params-file", str(find_parameter_file())]
    for name, value in part.parameters.items():
        command += ["-p", f"{name}:={json.dumps(value)}"]
    return command


def find_parameter_file() -> Path:
    """`config/perception.yaml` of the checkout, or where the package was installed.

    Raises:
        InvalidInputError: It is at none of these places.
    """
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    places = [Path(__file__).resolve().parents[3] / "config" / "perception.yaml"]
    places += [
        Path(prefix) / "share" / "amodal_ros" / "config" / "perception.yaml"
        for prefix in prefixes
        if prefix
    ]
    for place in places:
        if place.is_file():
            return place
    raise InvalidInputError(
        f"the parameter file is missing, expected one of {', '.join(map(str, places))}"
    )


def _follow(
    family: Family,
    stage: Stage,
    console: Console,
    perception: Child,
    recorder: Child,
    camera: Child,
) -> None:
    """Shows progress and warnings until the camera has ended."""
    with progress_bar(console) as progress:
        bar = progress.add_task("starting the nodes", total=stage.frame_count)
        while camera.exit_code is None:
            _show_lines(family, progress, bar)
            family.check(perception, recorder)
            time.sleep(0.05)
        time.sleep(0.1)
        _show_lines(family, progress, bar)


def _show_lines(family: Family, progress: Progress, bar: TaskID) -> None:
    while True:
        try:
            child, line = family.lines.get_nowait()
        except queue.Empty:
            return
        event = parse_event(line)
        if event is None:
            if any(mark in line for mark in _WORTH_SHOWING):
                progress.console.print(f"{child.name}: {line}", markup=False, highlight=False)
        elif event["event"] == "start":
            progress.update(bar, description="frames")
        elif event["event"] == "frame":
            progress.advance(bar)


def _let_write(recorder: Child) -> None:
    """Ends the recorder and waits for its files.

    Raises:
        ChildError: It could not write them.
    """
    recorder.interrupt()
    if recorder.wait(_WRITING_TIMEOUT_S) != 0:
        raise recorder.failure()
