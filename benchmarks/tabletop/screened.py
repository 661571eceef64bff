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
from pathlib import Path

from benchmarks.tabletop.options import add_clip_options
from benchmarks.tabletop.shot_types import FrameRecord, Shot
from training.worker_processes import in_processes

logger = logging.getLogger(__name__)


def generate_screened(
    out: Path, clips: int, frames: int, seed: int, object_set: str, workers: int, cache: Path
) -> Path:
    """Render clips and return their annotation file, in ``amodal_coco``.

    Args:
        out: new or empty folder for ``images/`` and ``clips.json``.
        clips: how many.
        frames: pictures in each.
        seed: of everything.
        object_set: key of the catalogue's sets.
        workers: processes.
        cache: where wheels and unpacked objects are kept.

    Raises:
        InvalidInputError: the folder is not empty, or a count makes no sense.
        AssetError: the objects cannot be fetched.
    """
    from amodal_ros.errors import InvalidInputError
    from benchmarks.tabletop.assets import prepare_assets
    from benchmarks.tabletop.catalog import OBJECT_SETS
    from benchmarks.tabletop.generate import add_frame, dataset_writer

    if clips < 1 or frames < 2 or seed < 0 or workers < 1:
        raise InvalidInputError(
            f"clips {clips}, frames {frames}, seed {seed}, workers {workers}: expected at least"
            " one clip of two frames, a seed of 0 or more and one worker"
        )
    if out.exists() and any(out.iterdir()):
        raise InvalidInputError(f"{out} is not empty")
    assets = prepare_assets(object_set, cache)
    (out / "images").mkdir(parents=True, exist_ok=True)
    objects = OBJECT_SETS[object_set]
    shots = [Shot("clip", number, seed, frames, objects, assets, out) for number in range(clips)]
    counts = {"clips": clips, "frames": frames}
    writer = dataset_writer("screened clips, ", object_set, seed, counts)
    made = in_processes(_render, shots, workers, in_order=True)
    for shot, records in zip(shots, made, strict=True):
        for record in records:
            add_frame(writer, shot, record)
        logger.info("clip %d of %d", shot.number + 1, clips)
    writer.write(out / "clips.json")
    return out / "clips.json"


def _render(shot: Shot) -> list[FrameRecord]:
    from benchmarks.tabletop.screened_shot import render_screened

    return render_screened(shot)


def main(argv: Sequence[str] | None = None) -> int:
    """Render screened clips."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

    from amodal_ros.errors import AmodalError
    from benchmarks.tabletop.assets import default_cache

    try:
        file = generate_screened(
            arguments.out,
            arguments.clips,
            arguments.frames,
            arguments.seed,
            arguments.objects,
            arguments.workers,
            arguments.cache or default_cache(),
        )
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    logger.info("wrote %s", file)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tabletop.screened",
        description="Render clips in which a carried object hides others for over a second.",
    )
    add_clip_options(parser, clips=10, frames=42)
    return parser


if __name__ == "__main__":
    sys.exit(main())
