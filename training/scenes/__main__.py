# SPDX-License-Identifier: Apache-2.0
"""``python -m training.scenes``: rendered scenes for training."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Render scenes, then say what is in them."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

    from amodal_ros.errors import AmodalError
    from training.options import from_options
    from training.scenes.generate import generate, summarise, write_sheet
    from training.scenes.run import SceneRun

    try:
        run = from_options(SceneRun, options)
        cache = options.cache or options.out / "cache"
        files = generate(run, options.count, options.out, cache, options.workers)
        if options.preview:
            write_sheet(files, options.out / "preview.png", options.preview)
        summary = summarise(files)
    except AmodalError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    print(f"{summary.objects} objects in {summary.pictures} pictures in {options.out}")
    for bucket, number in summary.histogram.items():
        share = number / max(summary.objects, 1)
        print(f"hidden {bucket:>9}: {number:6d}  {share:6.1%}")
    return 0


def _parser() -> argparse.ArgumentParser:
    from training.options import add_options
    from training.scenes.run import SceneRun

    parser = argparse.ArgumentParser(
        prog="python -m training.scenes",
        description="Cluttered rendered scenes with true amodal masks, as amodal_coco chunks.",
        epilog="A killed run goes on where it stopped when the same command is given again; "
        "a larger --count adds chunks.",
    )
    add_options(parser, SceneRun)
    add = parser.add_argument
    add("--count", type=int, required=True, metavar="N", help="scenes, in whole chunks")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the chunks")
    add("--workers", type=int, default=1, metavar="W", help="processes (1)")
    add("--cache", type=Path, metavar="DIR", help="models made ready (OUT/cache)")
    add("--preview", type=int, default=32, metavar="N", help="pictures on preview.png; 0: none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
