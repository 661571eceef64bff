# SPDX-License-Identifier: Apache-2.0
"""How hard a rendered dataset is: histogram of occlusion, and what needs no model to score."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from training.datasets import AmodalCocoDataset
from training.evaluation.baselines import geometric_baselines
from training.evaluation.scores import in_percent
from training.metrics import C2fMiou, bucket_label, measure_overlap
from training.metrics.buckets import LABELS, UNOCCLUDED


@dataclass(frozen=True)
class Statistics:
    """Of one annotation file.

    Attributes:
        name: the file's.
        instances: number of objects.
        histogram: objects by occlusion rate; those not occluded at all apart.
        categories: objects by category.
        c2f: figures in percent of each prediction that needs no model.
    """

    name: str
    instances: int
    histogram: dict[str, int]
    categories: dict[str, int]
    c2f: dict[str, dict[str, Any]]


def measure(file: Path) -> Statistics:
    """Count and score one annotation file, its images beside it."""
    histogram = dict.fromkeys((UNOCCLUDED, *LABELS), 0)
    categories: Counter[str] = Counter()
    metrics: dict[str, C2fMiou] = {}
    for sample in AmodalCocoDataset(file.parent, file):
        rate = sample.occlusion_rate
        histogram[bucket_label(rate) if rate else UNOCCLUDED] += 1
        categories[sample.category_name] += 1
        for name, mask in geometric_baselines(sample.visible_mask).items():
            overlap = measure_overlap(mask, sample.amodal_mask, sample.visible_mask)
            metrics.setdefault(name, C2fMiou()).add(overlap)
    return Statistics(
        name=file.name,
        instances=sum(categories.values()),
        histogram=histogram,
        categories=dict(sorted(categories.items())),
        c2f={name: in_percent(asdict(m.compute())) for name, m in metrics.items()},
    )


def write_statistics(files: tuple[Path, ...]) -> list[Table]:
    """Measure each file, write ``statistics.json`` beside them, return tables to print."""
    found = [measure(file) for file in files]
    text = json.dumps([asdict(statistics) for statistics in found], indent=2) + "\n"
    (files[0].parent / "statistics.json").write_text(text, encoding="utf-8")
    return [_table(statistics) for statistics in found]


def _table(statistics: Statistics) -> Table:
    table = Table(title=f"{statistics.name}: c2f without a model")
    for column in ("prediction", "full", "occluded"):
        table.add_column(column)
    for name, figures in statistics.c2f.items():
        table.add_row(name, str(figures["miou_full"]), str(figures["miou_occ"]))
    counts = ", ".join(f"{label}: {count}" for label, count in statistics.histogram.items())
    table.caption = f"{statistics.instances} objects by occlusion: {counts}"
    return table
