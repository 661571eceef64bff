# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.tabletop``: render the tabletop benchmark."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Render stills and clips, then say what is in them."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

    from rich.console import Console

    from amodal_ros.errors import AmodalError
    from benchmarks.tabletop.generate import Plan, generate
    from benchmarks.tabletop.statistics import write_statistics
    from training.options import from_options

    try:
        plan = from_options(Plan, arguments)
        summary = generate(plan)
        tables = write_statistics(summary.files)
    except AmodalError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    console = Console()
    for table in tables:
        console.print(table)
    left_out = ", ".join(f"{count} {reason}" for reason, count in summary.left_out.items())
    console.print(f"{summary.images} pictures in {summary.seconds:.0f} s (left out: {left_out})")
    console.print(f"wrote {', '.join(str(file) for file in summary.files)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    from benchmarks.tabletop.generate import Plan
    from training.options import add_options

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tabletop",
        description="Render tabletop scenes with true amodal masks, in amodal_coco.",
    )
    add_options(parser, Plan, leave_out=("screened",), names={"object_set": "objects"})
    return parser


if __name__ == "__main__":
    sys.exit(main())
