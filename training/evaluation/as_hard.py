# SPDX-License-Identifier: Apache-2.0
"""One evaluation on scenes as hard as another's: ``python -m training.evaluation.as_hard``.

How hard scenes are for one who has learnt nothing about hidden shapes, the convex hull of the true
visible mask says. Where two sets of scenes differ in it, their figures do not compare. Reads the
``instances.jsonl`` of ``python -m training.evaluate``, weights the categories of objects, by as
little as it takes, until the hull has the figures given, and says what a model has then.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from amodal_ros.errors import InvalidInputError
from training.evaluation.report import print_about
from training.evaluation.scores import VISIBLE_HULL

Array = NDArray[np.float64]

_TOLERANCE = 0.01  # points of mIoU


@dataclass(frozen=True, eq=False)
class Reweighted:
    """What came out.

    Attributes:
        before: mIoU full and occ in percent, by prediction, every object counting alike.
        after: the same with the weights.
        weights: of each category; their mean over all objects is 1.
    """

    before: dict[str, tuple[float, float]]
    after: dict[str, tuple[float, float]]
    weights: dict[str, float]


class _Sums:
    """Sums of figures by category."""

    def __init__(self, records: Sequence[dict[str, Any]]) -> None:
        self.categories = sorted({str(record["category"]) for record in records})
        rows = {category: row for row, category in enumerate(self.categories)}
        self.counts = np.zeros((len(rows), 2))
        self.scores: dict[str, Array] = {}
        for record in records:
            row = rows[str(record["category"])]
            figures = {"model": record, **record["baselines"]}
            for column, key in enumerate(("iou_full", "iou_occ")):
                if record[key] is None:
                    continue
                self.counts[row, column] += 1
                for name, values in figures.items():
                    self.scores.setdefault(name, np.zeros_like(self.counts))
                    self.scores[name][row, column] += values[key]

    def means(self, name: str, weights: Array) -> Array:
        """(2,): mIoU full and occ of a prediction."""
        return np.asarray(weights @ self.scores[name] / (weights @ self.counts))


def reweighted(records: Iterable[dict[str, Any]], hull: tuple[float, float]) -> Reweighted:
    """Weight categories until the hull of the true visible mask has given figures.

    The weights are exponentials of a sum of the hull's two figures for the category, each with
    one factor for all: of all weights that lead there, those nearest to equal ones (in relative
    entropy).

    Args:
        records: lines of ``instances.jsonl``.
        hull: its mIoU full and occ to be reached, percent.

    Raises:
        InvalidInputError: no object is partly hidden, or no weights lead there.
    """
    sums = _Sums(list(records))
    if VISIBLE_HULL not in sums.scores or not sums.counts[:, 1].any():
        raise InvalidInputError("expected records of partly hidden objects, got none")
    equal, wanted = np.ones(len(sums.categories)), np.array(hull)
    middle = sums.means(VISIBLE_HULL, equal)
    means = sums.scores[VISIBLE_HULL] / np.maximum(sums.counts, 1)
    hulls = np.where(sums.counts > 0, means, middle)
    tilts = (hulls - middle) / 10

    def weights(factors: Array) -> Array:
        raw = np.exp(np.clip(tilts @ factors, -30, 30))
        return np.asarray(raw / (raw @ sums.counts[:, 0]) * sums.counts[:, 0].sum())

    found = least_squares(lambda f: sums.means(VISIBLE_HULL, weights(f)) - wanted, np.zeros(2))
    chosen = weights(found.x)
    if np.abs(sums.means(VISIBLE_HULL, chosen) - wanted).max() > _TOLERANCE:
        reached = sums.means(VISIBLE_HULL, chosen).round(2).tolist()
        raise InvalidInputError(
            f"hull {hull}: no weights of the {len(equal)} categories lead there, the nearest "
            f"reach {reached}; as measured it has {middle.round(2).tolist()}"
        )
    return Reweighted(
        before={name: _pair(sums.means(name, equal)) for name in sums.scores},
        after={name: _pair(sums.means(name, chosen)) for name in sums.scores},
        weights=dict(zip(sums.categories, chosen.tolist(), strict=True)),
    )


def _pair(values: Array) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def markdown(result: Reweighted) -> str:
    """A table of all predictions, and the heaviest and lightest categories."""
    lines = ["| prediction | as measured | as hard |", "|---|---:|---:|"]
    for name, (full, occ) in result.before.items():
        new_full, new_occ = result.after[name]
        lines.append(f"| {name} | {full:.2f} / {occ:.2f} | {new_full:.2f} / {new_occ:.2f} |")
    ranked = sorted(result.weights.items(), key=lambda item: -item[1])
    lines += ["", "Weights: " + ", ".join(f"{name} {weight:.2f}" for name, weight in ranked)]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("instances", type=Path, help="instances.jsonl of an evaluation")
    parser.add_argument(
        "--hull",
        type=float,
        nargs=2,
        required=True,
        metavar=("FULL", "OCC"),
        help="mIoU that the hull of the true visible mask is to have, percent",
    )
    given = parser.parse_args(argv)
    hull = (given.hull[0], given.hull[1])
    return print_about(given.instances, lambda records: markdown(reweighted(records, hull)))


if __name__ == "__main__":
    sys.exit(main())
