# SPDX-License-Identifier: Apache-2.0
"""How true masks are at several region sizes, by the size of the box in the picture.

``python -m benchmarks.region_sizes --stills FOLDER [--models A ...]`` asks each model folder of
mode ``roi``, at each of its sizes, for every ``--every``-th object of the stills, by the box of
what is visible. Where the region has fewer pixels than the model's input it is enlarged anyway: a
smaller input may then lose nothing. Time is processor time of one thread.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.image.masks import mask_box
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import EngineOptions, load_predictor
from amodal_ros.metrics import Overlap, measure_overlap
from amodal_ros.reporting import markdown_table
from benchmarks.common import model_facts, percent, write_result
from training.datasets import AmodalCocoDataset
from training.datasets.sample import AmodalSample

logger = logging.getLogger(__name__)

STILLS_FILE = "stills.json"  # of benchmarks.tabletop
BOUNDS_PX = (0, 80, 130, 10_000)  # of the longer side of a box
LEAST_PX = 40  # as in the other benchmarks: less cannot be prompted


@dataclass(frozen=True)
class Looked:
    """What one size said of one object.

    Attributes:
        size: of the model's input, in pixels.
        side: longer side of the object's box, in pixels of the picture.
        overlap: of its amodal mask with the true one.
        spent_ms: processor time.
    """

    size: int
    side: int
    overlap: Overlap
    spent_ms: float


def look_at_all(
    stills: Path, every: int, predictors: Sequence[tuple[AmodalPredictor, bool]]
) -> Iterator[Looked]:
    """Asks each predictor, at its smaller size or not, for every so manieth object."""
    dataset = AmodalCocoDataset(stills, stills / STILLS_FILE)
    for sample in dataset.read(range(0, len(dataset), every)):
        if np.count_nonzero(sample.visible_mask) >= LEAST_PX:
            for predictor, small in predictors:
                yield _look(sample, predictor, small)


def _look(sample: AmodalSample, predictor: AmodalPredictor, small: bool) -> Looked:
    box = mask_box(sample.visible_mask)
    image = sample.image.load()
    begun = time.process_time()
    features = predictor.encode(image)
    found = predictor.predict(features, [box], small=[small])
    spent_ms = (time.process_time() - begun) * 1e3
    size = predictor.small_size if small else predictor.manifest.image_size
    return Looked(
        size=int(size or 0),
        side=max(box[2] - box[0], box[3] - box[1]),
        overlap=measure_overlap(
            found.amodal_masks[0], sample.amodal_mask, sample.visible_mask & sample.amodal_mask
        ),
        spent_ms=spent_ms,
    )


def summary(looked: Sequence[Looked]) -> list[dict[str, Any]]:
    """Means by size of the box and of the input; the last bounds are those of all boxes."""
    ranges = [*pairwise(BOUNDS_PX), (BOUNDS_PX[0], BOUNDS_PX[-1])]
    rows = []
    for low, high in ranges:
        for size in sorted({one.size for one in looked}):
            mine = [one for one in looked if one.size == size and low <= one.side < high]
            hidden = [one.overlap.iou_occluded for one in mine if one.overlap.is_occluded]
            rows.append(
                {
                    "side_px": [low, high],
                    "size": size,
                    "objects": len(mine),
                    "occluded": len(hidden),
                    "miou_full": percent([one.overlap.iou_full for one in mine]),
                    "miou_occ": percent(hidden),
                    "median_ms": round(float(np.median([one.spent_ms for one in mine])), 1)
                    if mine
                    else None,
                }
            )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    head = ["longer side of the box, px", "objects (occluded)", "input, px"]
    lines = [[*head, "mIoU_full", "mIoU_occ", "processor ms"]]
    for row in rows:
        low, high = row["side_px"]
        side = f"{low} to {high}" if high < BOUNDS_PX[-1] else f"{low} and more"
        figures = [row["miou_full"], row["miou_occ"], row["median_ms"]]
        lines.append(
            [side, f"{row['objects']} ({row['occluded']})", str(row["size"])]
            + ["–" if one is None else f"{one:.1f}" for one in figures]
        )
    return markdown_table(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.region_sizes", description=__doc__)
    parser.add_argument("--stills", type=Path, required=True, help="of benchmarks.tabletop")
    parser.add_argument(
        "--models", type=Path, nargs="*", default=[], help="beside the packaged one"
    )
    parser.add_argument("--every", type=int, default=1, help="so manieth object (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with ExitStack() as opened:
        predictors: list[tuple[AmodalPredictor, bool]] = []
        for folder in (None, *options.models):
            predictor = load_predictor(folder, EngineOptions(threads=1))
            opened.callback(predictor.close)
            sizes = (False, True) if predictor.looks_small else (False,)
            predictors += [(predictor, small) for small in sizes]
        engine = predictors[0][0].backend.name
        rows = summary(list(look_at_all(options.stills, options.every, predictors)))
    settings = {"every": options.every, "engine": engine, "models": len(options.models) + 1}
    write_result(options.out, "region sizes", settings | model_facts(None), {"rows": rows})
    logger.info("%s", table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
