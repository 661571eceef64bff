# SPDX-License-Identifier: Apache-2.0
"""Answers a whole recording: ``python -m amodal_ros.ros.bag in.mcap out.mcap``.

Every image is answered, in order, by the node's own pipeline; nothing is dropped as the node
must when the camera is faster than the model.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amodal_ros.ros.bag.arguments import node_parameters, parse_arguments

MakePredictor = Callable[[Any], Any]


def main(argv: Sequence[str] | None = None, make_predictor: MakePredictor | None = None) -> int:
    """Runs the command.

    Returns:
        0; 2: wrong arguments or input; 1: the engine or the disk failed; 130: interrupted.
    """
    arguments = parse_arguments(argv)
    from amodal_ros.errors import AmodalError, InvalidInputError

    try:
        with ExitStack() as stack:
            return _run(arguments, make_predictor, stack)
    except InvalidInputError as error:
        print(f"amodal_bag: {error}", file=sys.stderr)
        return 2
    except (AmodalError, OSError) as error:
        print(f"amodal_bag: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("amodal_bag: interrupted", file=sys.stderr)
        return 130


def _run(
    arguments: argparse.Namespace, make_predictor: MakePredictor | None, stack: ExitStack
) -> int:
    from rich.console import Console

    from amodal_ros.ros.bag.checkpoint import Checkpoints
    from amodal_ros.ros.bag.inputs import open_depth, open_inputs
    from amodal_ros.ros.bag.run import AnswerTopics, BagRun, topics_to_copy

    console = Console(stderr=True)
    _check(arguments)
    parameters = node_parameters(arguments)
    topics = AnswerTopics.within(arguments.namespace)
    frames = open_inputs(arguments, stack)
    depth, found = open_depth(arguments, parameters, frames, stack)
    copied = topics_to_copy(frames.bag, arguments.copy, topics)
    for line in [*frames.findings(), found] if found else frames.findings():
        console.print(line, markup=False, highlight=False)
    identity = _identity(arguments, frames, depth, parameters)
    checkpoints = Checkpoints(arguments.out, identity)
    progress = checkpoints.begin(anew=arguments.restart)
    if progress.frames:
        console.print(f"going on after frame {progress.frames} of {len(frames)}")
    run = BagRun(frames, checkpoints, progress, topics)
    model = _answer_all(run, arguments, parameters, depth, make_predictor, console, stack)
    if model is None:
        print(
            f"amodal_bag: interrupted after {progress.frames} of {len(frames)} frames; the same "
            "command goes on from there",
            file=sys.stderr,
        )
        return 130
    notes = {"source": str(arguments.source), "model": model}
    run.write_result(arguments.out, copied, notes)
    _tell_end(console, arguments, frames, depth, progress)
    return 0


def _answer_all(
    run: Any,
    arguments: argparse.Namespace,
    parameters: Any,
    depth: Any,
    make_predictor: MakePredictor | None,
    console: Any,
    stack: ExitStack,
) -> str | None:
    """Has all frames answered, with a bar; the model's name, or None where it was interrupted."""
    from amodal_ros.ros.bag.offline import OfflineCamera
    from amodal_ros.ros.bag.progress_bar import progress_bar
    from amodal_ros.ros.node.model_loading import load_predictor

    with progress_bar(console) as bar:
        task = bar.add_task("frames", total=run.total(arguments.frames))
        bar.update(task, completed=run.progress.frames)
        camera = OfflineCamera(
            parameters,
            make_predictor or load_predictor,
            lambda text: bar.console.print(text, markup=False, highlight=False),
            *(run.progress.tracker, depth),
        )
        stack.callback(camera.close)
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, run.stop))
        whole = run.answer_all(
            camera, lambda done: bar.update(task, completed=done), arguments.frames
        )
    return camera.model_name() if whole else None


def _check(arguments: argparse.Namespace) -> None:
    from amodal_ros.errors import InvalidInputError

    out: Path = arguments.out
    if out.suffix != ".mcap":
        raise InvalidInputError(f"OUT is {out}, expected a name that ends in .mcap")
    if out.exists() and arguments.source.exists() and out.samefile(arguments.source):
        raise InvalidInputError(f"OUT is the recording itself: {out}")
    if out.exists() and not arguments.restart:
        raise InvalidInputError(f"{out} is there already: choose another name, or --restart")
    if not out.resolve().parent.is_dir():
        raise InvalidInputError(f"the folder of OUT does not exist: {out.resolve().parent}")
    if arguments.frames is not None and arguments.frames < 1:
        raise InvalidInputError(f"--frames is {arguments.frames}, expected 1 or more")
    if not 0.0 <= arguments.slop < math.inf:
        raise InvalidInputError(f"--slop is {arguments.slop:g}, expected seconds from 0 on")


def _identity(
    arguments: argparse.Namespace, frames: Any, depth: Any, parameters: Any
) -> Mapping[str, Any]:
    """What an interrupted run and the one that goes on must have in common."""
    import amodal_ros
    from amodal_ros.files import file_sha256
    from amodal_ros.model_folder.manifest import default_model_dir

    manifest = Path(parameters.model_dir or default_model_dir()) / "manifest.json"
    return {
        "version": amodal_ros.__version__,
        "source": _facts(arguments.source),
        "boxes": None if arguments.boxes is None else _facts(arguments.boxes),
        "image_topic": frames.images.name,
        "detections_topic": arguments.detections_topic,
        "depth": None if depth is None else depth.topics.names(),
        "slop": arguments.slop,
        "namespace": arguments.namespace,
        "model": file_sha256(manifest) if manifest.is_file() else None,
        "parameters": asdict(parameters),
    }


def _facts(path: Path) -> list[Any]:
    """Name, size and time of change of a file, or of the files of a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _tell_end(
    console: Any, arguments: argparse.Namespace, frames: Any, depth: Any, progress: Any
) -> None:
    lost = progress.frames - progress.answered
    text = f"{progress.answered} of {progress.frames} frames answered, {progress.objects} masks"
    if depth is not None:
        text += f", 3D boxes of {progress.located} frames"
    if lost:
        text += f"; {lost} images cannot be read"
    console.print(text, highlight=False)
    damage = frames.bag.damage or (depth.damage if depth is not None else "")
    if damage:
        console.print(f"{frames.bag.path}: {damage}", markup=False, highlight=False)
    for line in frames.unreadable[:3]:
        console.print(line, markup=False, highlight=False)
    found = {name: count for name, count in progress.counts.items() if count}
    if found:
        listed = ", ".join(f"{name} {count}" for name, count in sorted(found.items()))
        console.print(f"counted: {listed}", highlight=False)
    console.print(f"wrote {arguments.out}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
