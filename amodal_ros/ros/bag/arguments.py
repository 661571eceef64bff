# SPDX-License-Identifier: Apache-2.0
"""The command line of ``python -m amodal_ros.ros.bag``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.parameters.table import PARAMETERS, PerceptionParameters

_READ: dict[type, Callable[[str], object]] = {
    bool: lambda text: {"true": True, "false": False}[text.lower()],
    int: int,
    float: float,
    str: str,
}
# What a recording decides, and what has no meaning without a robot that waits or without points.
_NOT_HERE = frozenset(
    [
        "autostart",
        "cameras",
        "camera_info_topic",
        "depth_camera_info_topic",
        "depth_topic",
        "depth_transport",
        "detections_topic",
        "detections_type",
        "encode_ahead",
        "frame_budget",
        "image_reliability",
        "image_topic",
        "image_transport",
        "model_dir",
        "point_stride",
        "slop",
        "sync_queue_size",
        "sync_timeout",
        "transform_timeout",
    ]
)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="amodal_bag",
        description="Answer every frame of a recording as the node would, and write the masks and "
        "boxes to an MCAP file. An interrupted run goes on with the same command.",
    )
    parser.add_argument(
        "source", type=Path, metavar="IN", help="recording: .mcap, .db3 or a folder of rosbag2"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="MCAP file to write")
    _add_inputs(parser)
    parser.add_argument(
        "--copy",
        nargs="+",
        default=["none"],
        metavar="TOPIC",
        help="topics of the recording that are copied as they are: all, none (default), or names",
    )
    parser.add_argument(
        "--namespace", default="", help="of the topics written, as left for /left/amodal/masks"
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="model folder (default: the one that comes along)",
    )
    parser.add_argument(
        "-p",
        "--param",
        action="append",
        default=[],
        metavar="NAME:=VALUE",
        help="a parameter of the node, as max_coast:=-1; may be repeated",
    )
    parser.add_argument("--frames", type=int, metavar="N", help="stop after N frames")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="forget an interrupted run, and an OUT that is there",
    )
    return parser.parse_args(argv)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    for what in ("image", "detections"):
        parser.add_argument(
            f"--{what}-topic",
            metavar="TOPIC",
            help=f"topic of the {what} (default: the only one)",
        )
    parser.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="boxes that are not in the recording: another recording, or JSON by frame "
        "(scripts/demo --help shows its form)",
    )
    parser.add_argument(
        "--slop",
        type=float,
        default=0.0,
        metavar="S",
        help="largest difference in seconds of an image's stamp and that of its boxes or depth "
        "(default 0)",
    )
    parser.add_argument(
        "--depth-topic",
        metavar="TOPIC",
        help="topic of the depth images (default: the only one, or the one that is named as "
        "aligned); none: no 3D boxes",
    )
    parser.add_argument(
        "--camera-info-topic",
        metavar="TOPIC",
        help="topic of the images' intrinsics (default: the one beside the images)",
    )
    parser.add_argument(
        "--depth-camera-info-topic",
        metavar="TOPIC",
        help="topic of the depth camera's intrinsics (default: the one beside the depth images, "
        "where their frame is not the images')",
    )


def node_parameters(arguments: argparse.Namespace) -> PerceptionParameters:
    """The node's parameters: their defaults, and what `-p` says.

    Raises:
        InvalidInputError: a parameter is unknown, of no use here, or has a wrong value.
    """
    specs = {spec.name: spec for spec in PARAMETERS if spec.name not in _NOT_HERE}
    values: dict[str, object] = {}
    for text in arguments.param:
        name, sign, value = text.partition(":=")
        if not sign or name not in specs:
            raise InvalidInputError(
                f"-p {text}: expected NAME:=VALUE with one of {', '.join(specs)}"
            )
        try:
            values[name] = _READ[type(specs[name].default)](value)
        except (KeyError, ValueError):
            raise InvalidInputError(
                f"parameter {name} is {value!r}, expected {specs[name].expected}"
            ) from None
    if arguments.model is not None:
        values["model_dir"] = str(arguments.model.resolve())
    return PerceptionParameters.from_mapping(values)
