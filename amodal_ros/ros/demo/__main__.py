# SPDX-License-Identifier: Apache-2.0
"""The demo: camera, perception node and recorder as separate processes, on real ROS 2.

    python -m amodal_ros.ros.demo --source cups.mp4 --box 100,200,300,400 --out demo_out/cups

Writes overlay.mp4, contact_sheet.png, masks.json and summary.json.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from amodal_ros.ros.demo.arguments import add_source_arguments

DEFAULT_OUT = Path("demo_out")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="amodal_demo",
        description="Play pictures and boxes to the perception node and record its masks.",
    )
    add_source_arguments(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder for the results (default: {DEFAULT_OUT}/NAME OF THE SOURCE)",
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="model folder (default: the one that comes along)",
    )
    parser.add_argument(
        "--domain-id",
        type=int,
        choices=range(233),
        metavar="N",
        help="ROS domain to join, 0 to 232 (default: a free one for this machine alone, whatever "
        "ROS_DOMAIN_ID says)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo.

    Returns:
        0; 2: wrong arguments or input; 1: a process failed; 130: interrupted.
    """
    arguments = parse_arguments(argv)
    from amodal_ros.errors import AmodalError
    from amodal_ros.model_folder.manifest import load_manifest
    from amodal_ros.ros.demo.run import prepare_folder, run_demo
    from amodal_ros.ros.demo.stage import load_stage

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        stage = load_stage(arguments)
        if arguments.model is not None:
            load_manifest(arguments.model)
    except (AmodalError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    out = arguments.out or DEFAULT_OUT / stage.source.info.name
    try:
        prepare_folder(out)
    except OSError as error:
        print(f"demo: nothing can be written to --out {out}: {error}", file=sys.stderr)
        return 2
    try:
        run_demo(arguments, stage, out)
    except (AmodalError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"demo: interrupted; what was done so far is in {out}", file=sys.stderr)
        return 130
    return 0


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
