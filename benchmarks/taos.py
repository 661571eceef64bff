# SPDX-License-Identifier: Apache-2.0
"""Composites a second on one core at 640x480 from photos: drawn, judged and encoded.

``python -m benchmarks.taos --source yolo:DIR [--count N]``. The rate that counts is by processor
time of this one process on one thread, which other load on the machine hardly changes; the rate
by the clock stands beside it. Photos are first decoded within the warm-up or, being more than the
cache holds, again and again, as in a long run.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LOGGER = logging.getLogger("benchmarks.taos")
WANTED_PER_SECOND = 15.0


def build_parser() -> argparse.ArgumentParser:
    """Options and their defaults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", action="append", required=True, metavar="KIND:PATH")
    parser.add_argument("--count", type=int, default=300, help="composites that count")
    parser.add_argument("--warm-up", type=int, default=50, help="composites before")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=1, help="frames per clip; 1: stills")
    parser.add_argument("--out", type=Path, help="JSON file (default: benchmarks/results)")
    return parser


def measure_rate(
    sources: list[str], count: int, warm_up: int, seed: int, frames: int
) -> dict[str, Any]:
    """Draws `warm_up` + `count` composites on one thread and times the latter.

    Returns:
        Rates per second, milliseconds of each composite, sizes and what was rejected.
    """
    import cv2
    import numpy as np

    from amodal_ros.reporting import summarise
    from training.taos.config import TaosConfig
    from training.taos.sampler import TaosSampler
    from training.taos.shards import encode_sample, samples_of

    cv2.setNumThreads(1)
    config = TaosConfig(seed=seed, frames=frames)
    pictures, rejected, processor_ms, pixels = 0, 0, [], []
    started = 0.0
    with tempfile.TemporaryDirectory() as cache:
        sampler = TaosSampler(config, sources, cache=Path(cache))
        for index in range(warm_up + count):
            if index == warm_up:
                started = time.perf_counter()
            before = time.process_time()
            report = sampler.draw(index)
            made = samples_of(report.result) if report.result is not None else ()
            for sample in made:
                encode_sample(sample, config)
            if index >= warm_up:
                processor_ms.append((time.process_time() - before) * 1e3)
                pictures += len(made)
                rejected += sum(report.rejects.values())
                pixels += [sample.amodal.size for sample in made]
    wall = time.perf_counter() - started
    if not pictures:
        raise ValueError(f"the sources gave no composite; {rejected} attempts were rejected")
    return {
        "pictures": pictures,
        "per_second_of_processor_time": round(pictures / (sum(processor_ms) / 1e3), 2),
        "per_second_of_clock_time": round(pictures / wall, 2),
        "processor_ms_each_draw": summarise(processor_ms),
        "megapixels_median": round(float(np.median(pixels)) / 1e6, 4),
        "attempts_rejected": rejected,
    }


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns 1 if the rate is below the one wanted."""
    options = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from benchmarks.common import RESULTS, write_result

    results = measure_rate(
        options.source, options.count, options.warm_up, options.seed, options.frames
    )
    rate = results["per_second_of_processor_time"]
    met = rate >= WANTED_PER_SECOND
    results["mark"] = {"value": rate, "at_least": WANTED_PER_SECOND, "unit": "1/s", "met": met}
    settings = {
        "kinds": [source.partition(":")[0] for source in options.source],
        "count": options.count,
        "warm_up": options.warm_up,
        "seed": options.seed,
        "frames": options.frames,
        "threads": 1,
        "image_format": "jpg",
    }
    path = options.out or RESULTS / "taos.json"
    write_result(path, "taos", settings, results)
    LOGGER.info("%.1f composites a second of processor time; written %s", rate, path)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
