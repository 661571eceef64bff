# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.tabletop.screened``: clips in which objects are fully hidden for a while.

The clips of ``python -m benchmarks.tabletop`` seldom hide an object for a second. Here a large
object is carried before the others, held for more than a second, and taken away again.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

logger = logging.getLogger(__name__)

FRAMES = 42


def main(argv: Sequence[str] | None = None) -> int:
    """Render screened clips."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

    from amodal_ros.errors import AmodalError
    from benchmarks.tabletop.generate import Plan, generate
    from training.options import from_options

    try:
        summary = generate(from_options(Plan, arguments, stills=0, screened=True))
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    logger.info("wrote %s", summary.files[0])
    return 0


def _parser() -> argparse.ArgumentParser:
    from benchmarks.tabletop.generate import Plan
    from training.options import add_options

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tabletop.screened",
        description="Render clips in which a carried object hides others for over a second.",
    )
    hidden = ("stills", "screened")
    names, defaults = {"object_set": "objects"}, {"frames": FRAMES}
    add_options(parser, Plan, leave_out=hidden, names=names, defaults=defaults)
    return parser


if __name__ == "__main__":
    sys.exit(main())
