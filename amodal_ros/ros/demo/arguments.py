# SPDX-License-Identifier: Apache-2.0
"""Command-line arguments that the demo and its camera share."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what says which pictures and boxes are published, and how fast."""
    parser.add_argument(
        "--source",
        metavar="PATH|INDEX",
        help="video file, image, folder of images, recording (.mcap, .db3 or a folder of rosbag2, "
        "with its boxes) or camera index (default: the clip that comes along, with its true "
        "boxes)",
    )
    for what in ("image", "detections"):
        parser.add_argument(
            f"--{what}-topic",
            metavar="TOPIC",
            help=f"of a recording: the topic of its {what} (default: the only one that it has)",
        )
    parser.add_argument(
        "--box",
        action="append",
        default=[],
        metavar="X0,Y0,X1,Y1",
        help="an object in the first frame, in pixels, given to the node by ~/add_object; may be "
        "repeated",
    )
    parser.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help='boxes by frame, JSON: {"frames": [{"frame": 0, "boxes": [{"box": [x0, y0, x1, y1], '
        '"id": "cup1", "class": "cup", "score": 0.9}]}]}; id, class and score may be left out',
    )
    parser.add_argument(
        "--rate",
        type=_positive_number,
        metavar="HZ",
        help="play in real time at this rate (default: each frame waits for the answer to the "
        "one before; stamps are the video's own times)",
    )
    parser.add_argument(
        "--frames", type=_positive_count, metavar="N", help="stop after N frames (default: all)"
    )
    parser.add_argument(
        "--timeout",
        type=_positive_number,
        default=60.0,
        metavar="S",
        help="seconds to wait for the answer to a frame (default %(default)g)",
    )


def _positive_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number above 0")
    return value


def _positive_count(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number above 0")
    return int(text)
