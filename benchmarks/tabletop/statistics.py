# SPDX-License-Identifier: Apache-2.0
"""How hard a rendered dataset is: histogram of occlusion, and what needs no model to score."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from amodal_ros.metrics import Overlap, c2f, measure_overlap
from training.datasets import AmodalCocoDataset
from training.evaluation.scores import geometric_baselines, in_percent
from training.metrics.miou import LABELS, UNOCCLUDED, bucket_label

_HIDDEN = 0.1


@dataclass(frozen=True)
class Statistics:
    """Of one annotation file.

    Attributes:
        name: the file's.
        instances: number of objects.
        histogram: objects by occlusion rate; those not occluded at all apart.
        categories: objects by category.
        c2f: figures in percent of each prediction that needs no model.
        visible_iou: of the same predictions with the true visible mask, mean in percent: of
            all objects that are seen, and of those hidden by more than 10 %.
    """

    name: str
    instances: int
    histogram: dict[str, int]
    categories: dict[str, int]
    c2f: dict[str, dict[str, Any]]
    visible_iou: dict[str, dict[str, float | None]]


def measure(file: Path) -> Statistics:
    """Count and score one annotation file, its images beside it."""
    histogram = dict.fromkeys((UNOCCLUDED, *LABELS), 0)
    categories: Counter[str] = Counter()
    overlaps: dict[str, list[Overlap]] = {}
    seen: dict[str, list[tuple[float, bool]]] = {}
    for sample in AmodalCocoDataset(file.parent, file):
        rate = sample.occlusion_rate
        histogram[bucket_label(rate) if rate else UNOCCLUDED] += 1
        categories[sample.category_name] += 1
        for name, mask in geometric_baselines(sample.visible_mask).items():
            overlap = measure_overlap(mask, sample.amodal_mask, sample.visible_mask)
            overlaps.setdefault(name, []).append(overlap)
            if sample.visible_mask.any():
                iou = _iou(mask, sample.visible_mask)
                seen.setdefault(name, []).append((iou, rate > _HIDDEN))
    return Statistics(
        name=file.name,
        instances=sum(categories.values()),
        histogram=histogram,
        categories=dict(sorted(categories.items())),
        c2f={name: in_percent(asdict(c2f(found))) for name, found in overlaps.items()},
        visible_iou={name: _means(values) for name, values in seen.items()},
    )


def _iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


def _means(values: list[tuple[float, bool]]) -> dict[str, float | None]:
    """Means in percent; None where there is no such object."""
    hidden = [iou for iou, is_hidden in values if is_hidden]
    return {
        "all": round(100 * float(np.mean([iou for iou, _ in values])), 2),
        "hidden": round(100 * float(np.mean(hidden)), 2) if hidden else None,
    }


def write_statistics(files: tuple[Path, ...]) -> list[Table]:
    """Measure each file, write ``statistics.json`` beside them, return tables to print."""
    found = [measure(file) for file in files]
    text = json.dumps([asdict(statistics) for statistics in found], indent=2) + "\n"
    (files[0].parent / "statistics.json").write_text(text, encoding="utf-8")
    return [_table(statistics) for statistics in found]


def _table(statistics: Statistics) -> Table:
    table = Table(title=f"{statistics.name}: c2f without a model")
    for column in ("prediction", "full", "occluded", "visible", "visible, hidden > 10 %"):
        table.add_column(column)
    for name, figures in statistics.c2f.items():
        seen = statistics.visible_iou.get(name, {"all": None, "hidden": None})
        row = (figures["miou_full"], figures["miou_occ"], seen["all"], seen["hidden"])
        table.add_row(name, *(str(value) for value in row))
    counts = ", ".join(f"{label}: {count}" for label, count in statistics.histogram.items())
    table.caption = f"{statistics.instances} objects by occlusion: {counts}"
    return table
