# SPDX-License-Identifier: Apache-2.0
"""How many objects of a still could share one region, and so one pass of the prefix.

``python -m benchmarks.shared_regions --stills FOLDER`` pairs the objects of each picture. Two may
share a square if it is for both what training has shown: 1.3 to 1.9 times the longer side of the
box, its centre at most 0.08 of its side from the box's on each axis. No model is run: with the
prefix's share of an object's time this says what sharing could save at most.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from amodal_ros.image.masks import mask_box
from amodal_ros.inference.regions import MAX_FACTOR, MAX_SHIFT
from benchmarks.region_sizes import LEAST_PX, STILLS_FILE
from training.datasets import AmodalCocoDataset

logger = logging.getLogger(__name__)

MIN_FACTOR = 1.5  # of what training has shown


def may_share(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether one square suits both boxes (4,), in pixels."""
    sides = [float(np.max(one[2:] - one[:2])) for one in (box, other)]
    least, most = MIN_FACTOR * max(sides), MAX_FACTOR * min(sides)
    apart = np.abs((box[:2] + box[2:]) - (other[:2] + other[2:])).max() / 2
    return least <= most and float(apart) <= 2 * MAX_SHIFT * most


def paired(boxes: Sequence[np.ndarray]) -> int:
    """How many of some boxes share with another one: pairs as they come."""
    taken: set[int] = set()
    for first, second in combinations(range(len(boxes)), 2):
        if not taken & {first, second} and may_share(boxes[first], boxes[second]):
            taken |= {first, second}
    return len(taken)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.shared_regions", description=__doc__)
    parser.add_argument("--stills", type=Path, required=True, help="of benchmarks.tabletop")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    dataset = AmodalCocoDataset(options.stills, options.stills / STILLS_FILE)
    objects = shared = 0
    for indices in dataset.images():
        samples = dataset.read(indices)
        seen = [one.visible_mask for one in samples]
        boxes = [
            np.array(mask_box(mask), float) for mask in seen if np.count_nonzero(mask) >= LEAST_PX
        ]
        objects, shared = objects + len(boxes), shared + paired(boxes)
    logger.info("%d of %d objects could share a region with another one", shared, objects)
    return 0


if __name__ == "__main__":
    sys.exit(main())
