# SPDX-License-Identifier: Apache-2.0
"""Latency and memory of the perception node, as a process of its own over DDS.

This process is camera and subscriber, the node is another one. Frames are sent in lockstep: the
next one after the answer. All times are the node's own (topic ``amodal/timing``), except
``arrival``: image stamp to masks received here.

    python -m benchmarks.latency --threads 2
    python -m benchmarks.latency --minutes 10
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amodal_ros.reporting import mark, summarise
from benchmarks.common import RESULTS, model_facts, print_marks, write_result
from benchmarks.node_process import NodeProcess, node_and_camera, own_network

if TYPE_CHECKING:
    from benchmarks.lockstep_camera import LockstepCamera

# What the parts of `amodal/timing` add up to.
GROUPS = {
    "transport": ("transport", "wait"),
    "preprocessing": ("convert", "preprocess", "prior"),
    "engine": ("prefix", "suffix", "decoder"),
    "postprocessing": ("postprocess", "track"),
    "message": ("message",),
}
BUT_ENGINE_LIMIT_MS = 20.0
RSS_LIMIT_MIB = 1.2e9 / 2**20
# Growth over the run, after its first tenth, that is still called flat; of a long run only.
GROWTH_LIMIT = 0.02
FRAMES_FOR_GROWTH = 100


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure; returns the results of the JSON file."""
    from benchmarks.lockstep_camera import ellipses

    parameters = {"threads": options.threads, "max_coast": 0.0}
    scenes = ellipses(options.width, options.height, options.objects, options.seed)
    with node_and_camera(parameters, options.model, scenes) as (node, camera):
        return _measure(node, camera, options)


def _measure(
    node: NodeProcess, camera: LockstepCamera, options: argparse.Namespace
) -> dict[str, Any]:
    rss_start = node.rss_mib()
    camera.connect()
    for _ in range(options.warm_up):
        camera.frame()
    timings: list[dict[str, float]] = []
    memory: list[tuple[float, float]] = []
    start = time.monotonic()
    while len(timings) < options.frames or time.monotonic() - start < options.minutes * 60:
        timings.append(camera.frame())
        memory.append((time.monotonic() - start, node.rss_mib()))
    peak = node.peak_rss_mib()
    return {
        "milliseconds": _latencies(timings),
        "objects_published": summarise(timing["objects"] for timing in timings),
        "memory_mib": {"start": round(rss_start, 1), "peak": round(peak, 1), **_memory(memory)},
        "marks": _marks(timings, memory, peak),
    }


def _latencies(timings: Sequence[dict[str, float]]) -> dict[str, Any]:
    keys = [key for key in timings[0] if key not in ("objects",)]
    return {
        "groups": {
            name: summarise(_sum(t, parts) for t in timings) for name, parts in GROUPS.items()
        },
        "everything_but_engine": summarise(map(_but_engine, timings)),
        "parts": {key: summarise(timing[key] for timing in timings) for key in keys},
    }


def _memory(memory: Sequence[tuple[float, float]]) -> dict[str, Any]:
    import numpy as np

    seconds, mib = np.array(memory).T
    slope = np.polyfit(seconds / 60, mib, 1)[0] if len(memory) > 2 else 0.0
    return {
        "end": round(float(mib[-1]), 1),
        "slope_mib_per_minute": round(float(slope), 3),
        "minutes": round(float(seconds[-1] / 60), 2),
    }


def _marks(
    timings: Sequence[dict[str, float]], memory: Sequence[tuple[float, float]], peak_mib: float
) -> dict[str, Any]:
    import numpy as np

    mib = np.array([value for _, value in memory])
    but_engine = summarise(map(_but_engine, timings))["median"]
    marks = {
        "everything_but_engine_median": mark(but_engine, BUT_ENGINE_LIMIT_MS, "ms"),
        "rss_peak": mark(peak_mib, round(RSS_LIMIT_MIB, 1), "MiB"),
    }
    if len(mib) >= FRAMES_FOR_GROWTH:
        settled = mib[len(mib) // 10 :]
        tenth = len(settled) // 10
        growth = np.median(settled[-tenth:]) / np.median(settled[:tenth]) - 1
        marks["rss_growth"] = mark(float(growth), GROWTH_LIMIT, "relative")
    return marks


def _sum(timing: dict[str, float], parts: Sequence[str]) -> float:
    return sum(timing[part] for part in parts)


def _but_engine(timing: dict[str, float]) -> float:
    return timing["total"] - _sum(timing, GROUPS["engine"])


def print_table(results: dict[str, Any]) -> None:
    """Print the results for a person."""
    from rich.console import Console
    from rich.table import Table

    milliseconds = results["milliseconds"]
    table = Table("part", "median ms", "IQR", "p90", title="Stamp to publication")
    rows = {**milliseconds["groups"], "total": milliseconds["parts"]["total"]}
    rows["everything but the engine"] = milliseconds["everything_but_engine"]
    for name, summary in rows.items():
        cells = (f"{summary[key]:.1f}" for key in ("median", "iqr", "p90"))
        table.add_row(name, *cells)
    console = Console()
    console.print(table)
    memory = results["memory_mib"]
    console.print(
        f"node's resident memory: {memory['start']} MiB at start, {memory['end']} at the end, "
        f"peak {memory['peak']}, slope {memory['slope_mib_per_minute']} MiB/min over "
        f"{memory['minutes']} min"
    )
    print_marks(results["marks"])


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=40, help="measured frames (default: 40)")
    parser.add_argument("--warm-up", type=int, default=5, help="frames before (default: 5)")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on for so long at least")
    parser.add_argument("--objects", type=int, default=4, help="boxes of each frame (default: 4)")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of the engine (default: 2)"
    )
    parser.add_argument("--model", type=Path, help="model folder (default: the packaged one)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "latency.json")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write the JSON file; returns 1 if a mark is missed."""
    options = parse_arguments(argv)
    own_network()
    results = run(options)
    settings = {key: value for key, value in vars(options).items() if key not in ("out", "model")}
    settings |= model_facts(options.model)
    write_result(options.out, "latency of the perception node", settings, results)
    print_table(results)
    return 0 if all(entry["met"] for entry in results["marks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
