# SPDX-License-Identifier: Apache-2.0
"""Who takes part in the demo, with which arguments and parameters.

`scripts/demo` starts these parts by processes of its own, since where no ROS is sourced there is
no `launch`; `demo.launch.py` starts the same ones where there is.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from amodal_ros.ros.demo.stage import Stage

REPORT = "logs/camera.json"  # the camera tells the recorder what it sent
READY = "logs/recorder.ready"  # the recorder tells the camera that it listens
_FOR_EVER_S = -1.0
# Options of the camera that are handed on as they were given.
_HANDED_ON = (
    "source",
    "boxes",
    "image_topic",
    "detections_topic",
    "rate",
    "frames",
    "timeout",
)

ParameterValue = bool | float | str


@dataclass(frozen=True)
class Part:
    """A process of the demo.

    Attributes:
        module: what `python -m` runs.
        executable: the same for `ros2 run amodal_ros`.
        arguments: its command line.
        parameters: of its node, beside those of the package's parameter file.
    """

    module: str
    executable: str
    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Cast:
    """All parts of a demo; `recorder` is None where nothing is written."""

    perception: Part
    camera: Part
    recorder: Part | None


def cast_of(
    arguments: argparse.Namespace, stage: Stage, out: Path | None, *, events: bool = False
) -> Cast:
    """The parts of a demo.

    Args:
        arguments: of the camera (`arguments.add_source_arguments`), and `model` where it is known.
        stage: what is played.
        out: folder of the results; None: nothing is written.
        events: the parts tell their progress on stdout.
    """
    told = ("--events",) if events else ()
    perception = Part(
        "amodal_ros.ros.node.perception_node",
        "amodal_perception",
        parameters=_node_parameters(arguments, stage),
    )
    camera = [*told, *_source_options(arguments)]
    recorder = None
    if out is not None:
        # The perception node and the recorder take the pictures.
        camera += ["--image-subscribers", "2", "--report", str(out / REPORT)]
        camera += ["--wait-for", str(out / READY)]
        recorder = Part(
            "amodal_ros.ros.demo.recorder",
            "amodal_demo_recorder",
            (*told, *_recorder_options(arguments, stage, out)),
        )
    return Cast(
        perception,
        Part("amodal_ros.ros.demo.camera", "amodal_demo_camera", tuple(camera)),
        recorder,
    )


def _node_parameters(arguments: argparse.Namespace, stage: Stage) -> dict[str, ParameterValue]:
    # Each picture is answered by the model, however long that takes: there is no robot waiting.
    parameters: dict[str, ParameterValue] = {"image_reliability": "reliable", "frame_budget": 0.0}
    if stage.given:
        parameters["detections_topic"] = ""  # no detector: the camera gives the objects
    elif stage.annotations is not None:
        parameters["max_coast"] = _FOR_EVER_S
    model = getattr(arguments, "model", None)
    if model is not None:
        parameters["model_dir"] = str(model.resolve())
    return parameters


def _source_options(arguments: argparse.Namespace) -> list[str]:
    options = []
    for name in _HANDED_ON:
        value = getattr(arguments, name)
        if value is not None:
            options += [f"--{name.replace('_', '-')}", str(value)]
    return options + [f"--box={box}" for box in arguments.box]


def _recorder_options(arguments: argparse.Namespace, stage: Stage, out: Path) -> list[str]:
    info = stage.source.info
    options = ["--out", str(out), "--report", str(out / REPORT), "--ready", str(out / READY)]
    options += ["--video-rate", str(arguments.rate or info.frame_rate)]
    options += ["--title", f"{info.name}: visible and amodal masks"]
    if stage.annotations is not None:
        options += ["--annotations", str(stage.annotations)]
    return options
