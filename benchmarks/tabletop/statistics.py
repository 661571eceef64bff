# SPDX-License-Identifier: Apache-2.0
"""How hard a rendered dataset is: histogram of occlusion, and what needs no model to score."""

from __future__ import annotations

import json
from collections import Counter

from rich.table import Table

from benchmarks.tabletop.generate import Summary
from training.datasets import AmodalCocoDataset
from training.evaluation.baselines import geometric_baselines
from training.metrics import C2fMiou, bucket_label, measure_overlap
from training.metrics.buckets import LABELS, UNOCCLUDED


def write_statistics(summary: Summary) -> Table:
    """Count, write ``statistics.json`` beside the annotations, and return a table to print."""
    folder = summary.annotations.parent
    histogram = dict.fromkeys((UNOCCLUDED, *LABELS), 0)
    categories: Counter[str] = Counter()
    metrics: dict[str, C2fMiou] = {}
    for sample in AmodalCocoDataset(folder, summary.annotations):
        histogram[
            UNOCCLUDED if sample.occlusion_rate == 0 else bucket_label(sample.occlusion_rate)
        ] += 1
        categories[sample.category_name] += 1
        for name, mask in geometric_baselines(sample.visible_mask).items():
            overlap = measure_overlap(mask, sample.amodal_mask, sample.visible_mask)
            metrics.setdefault(name, C2fMiou()).add(overlap)
    results = {name: metric.compute() for name, metric in metrics.items()}
    content = {
        "images": summary.images,
        "instances": summary.instances,
        "left_out": summary.left_out,
        "seconds": round(summary.seconds, 1),
        "occlusion_histogram": histogram,
        "categories": dict(sorted(categories.items())),
        "c2f": {
            name: {
                "miou_full": _percent(result.miou_full),
                "miou_occ": _percent(result.miou_occ),
                "n": result.n,
                "n_occluded": result.n_occluded,
            }
            for name, result in results.items()
        },
    }
    (folder / "statistics.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    table = Table(title="c2f without a model")
    for column in ("prediction", "mIoU full", "mIoU occluded"):
        table.add_column(column)
    for name, result in results.items():
        table.add_row(name, str(_percent(result.miou_full)), str(_percent(result.miou_occ)))
    table.caption = "objects by occlusion: " + ", ".join(f"{k}: {v}" for k, v in histogram.items())
    return table


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)
