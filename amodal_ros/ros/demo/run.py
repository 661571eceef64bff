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
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.demo.arguments import FOR_EVER_S
from amodal_ros.ros.demo.events import parse_event
from amodal_ros.ros.demo.processes import Child, ChildError, Family, ros_environment
from amodal_ros.ros.demo.results import print_summary
from amodal_ros.ros.demo.stage import Stage

FILES = ("overlay.mp4", "contact_sheet.png", "masks.json", "summary.json")
_REPORT = "logs/camera.json"  # the camera tells the recorder what it sent
_READY = "logs/recorder.ready"  # the recorder tells the camera that it listens
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
    for name in (*FILES, _REPORT, _READY):
        (out / name).unlink(missing_ok=True)
    with tempfile.TemporaryFile(dir=out) as probe:
        probe.write(bytes(_LEAST_FREE_BYTES))
    return logs


def _play(
    arguments: argparse.Namespace, stage: Stage, out: Path, family: Family, console: Console
) -> None:
    with family:
        perception, recorder, camera = family.start(
            {
                "perception": perception_command(arguments, stage),
                "recorder": recorder_command(arguments, stage, out),
                "camera": camera_command(arguments, out),
            }
        )
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


def perception_command(arguments: argparse.Namespace, stage: Stage) -> list[str]:
    """The perception node as users run it, with the package's parameter file."""
    command = [sys.executable, "-m", "amodal_ros.ros.node.perception_node", "--ros-args"]
    command += ["--params-file", str(find_parameter_file())]
    # Each picture is answered by the model, however long that takes: there is no robot waiting.
    parameters: dict[str, object] = {"image_reliability": "reliable", "frame_budget": 0.0}
    if arguments.box or stage.annotations is not None:
        parameters["max_coast"] = FOR_EVER_S
    if arguments.model is not None:
        parameters["model_dir"] = str(arguments.model.resolve())
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    return command


def recorder_command(arguments: argparse.Namespace, stage: Stage, out: Path) -> list[str]:
    """The recorder's command line."""
    info = stage.source.info
    command = [sys.executable, "-m", "amodal_ros.ros.demo.recorder", "--events"]
    command += ["--out", str(out), "--report", str(out / _REPORT)]
    command += ["--ready", str(out / _READY)]
    command += ["--video-rate", str(arguments.rate or info.frame_rate)]
    command += ["--title", f"{info.name}: visible and amodal masks"]
    if stage.annotations is not None:
        command += ["--annotations", str(stage.annotations)]
    return command


def camera_command(arguments: argparse.Namespace, out: Path) -> list[str]:
    """The camera's command line; the perception node and the recorder take its pictures."""
    command = [sys.executable, "-m", "amodal_ros.ros.demo.camera", "--events"]
    command += ["--image-subscribers", "2", "--report", str(out / _REPORT)]
    command += ["--wait-for", str(out / _READY)]
    for name in ("source", "boxes", "rate", "frames", "timeout"):
        value = getattr(arguments, name)
        if value is not None:
            command += [f"--{name}", str(value)]
    for box in arguments.box:
        command += [f"--box={box}"]
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
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
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
