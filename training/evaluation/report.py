# SPDX-License-Identifier: Apache-2.0
"""``report.json``, ``instances.jsonl`` and the table on the terminal."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from amodal_ros.errors import AmodalError
from amodal_ros.files import file_sha256
from training.datasets import AmodalDataset, BadRecords
from training.evaluation.runner import MODEL, POST, VIDEO_POST, Evaluation
from training.evaluation.scores import (
    BOX_FILL,
    PREDICTED_VISIBLE,
    TRUE_VISIBLE,
    UNOCCLUDED_METRIC,
    VISIBLE_HULL,
    in_percent,
)
from training.evaluation.segmenters import ModelDescription

BASELINES = (BOX_FILL, PREDICTED_VISIBLE, TRUE_VISIBLE, VISIBLE_HULL)
SCHEMA_VERSION = 2
VISIBLE = "visible"


def build_report(
    evaluation: Evaluation,
    model: ModelDescription,
    dataset: AmodalDataset,
    prompt: str,
    track: bool,
    seed: int,
    bad: BadRecords,
) -> dict[str, Any]:
    """Everything that was measured, ready for JSON; figures in percent, None where undefined."""
    boards = evaluation.boards
    metrics: dict[str, Any] = {}
    buckets: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    if boards:
        metrics = boards[MODEL].compute()
        metrics[POST] = {k: boards[POST].compute()[k] for k in ("c2f", UNOCCLUDED_METRIC)}
        metrics[VISIBLE] = in_percent(asdict(evaluation.visible.compute()))
        if VIDEO_POST in boards:
            metrics[VIDEO_POST] = boards[VIDEO_POST].compute()["c2f-video"]
        buckets = boards[MODEL].buckets()
        baselines = {
            name: {**boards[name].compute(), "buckets": boards[name].buckets()}
            for name in BASELINES
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "model": asdict(model),
        "dataset": {
            "name": dataset.name,
            "root": str(dataset.root),
            "annotations": str(dataset.annotations),
            "annotations_sha256": (
                file_sha256(dataset.annotations) if dataset.annotations.is_file() else None
            ),
            "images": evaluation.images,
            "instances": len(evaluation.instances),
            "unprompted": evaluation.unprompted,
            "skipped": len(bad),
            "skipped_records": bad.lines(),
        },
        "prompt": prompt,
        "track": track,
        "seed": seed,
        "metrics": metrics,
        "baselines": baselines,
        "buckets": buckets,
    }


def write_report(folder: Path, report: Mapping[str, Any], evaluation: Evaluation) -> None:
    """Write ``report.json`` and ``instances.jsonl``."""
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")
    with (folder / "instances.jsonl").open("w", encoding="utf-8") as stream:
        for instance in evaluation.instances:
            stream.write(json.dumps(instance, ensure_ascii=False) + "\n")


def result_rows(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and metrics of each row of a table: the model, post-processed, then the baselines."""
    metrics = report["metrics"]
    if not metrics:
        return []
    post = dict(metrics[POST])
    if VIDEO_POST in metrics:
        post["c2f-video"] = metrics[VIDEO_POST]
    return [
        ("model, raw", metrics),
        ("model, post", post),
        *((name, report["baselines"][name]) for name in BASELINES),
    ]


def table_columns(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Heading, metric and figure of each column."""
    names = ["c2f", "pooled", "occluded-only"]
    if "c2f-video" in report["metrics"]:
        names.append("c2f-video")
    columns = [
        (f"{name} {short}", name, figure)
        for name in names
        for short, figure in (("full", "miou_full"), ("occ", "miou_occ"))
    ]
    columns += [
        ("unoccluded full", UNOCCLUDED_METRIC, "miou_full"),
        ("boundary F", "boundary-f", "f"),
    ]
    return [
        *columns,
        ("visible IoU", VISIBLE, "iou"),
        ("visible IoU hidden", VISIBLE, "iou_hidden"),
        ("on others", VISIBLE, "on_others"),
        ("on others hidden", VISIBLE, "on_others_hidden"),
    ]


def figure_text(value: Any) -> str:
    """A figure as in tables: two decimals, a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def build_table(report: Mapping[str, Any]) -> Table:
    """The table for the terminal."""
    dataset = report["dataset"]
    title = f"{report['model']['name']} on {dataset['name']}, prompt {report['prompt']}"
    table = Table(title=title + (", tracked" if report["track"] else ""))
    table.add_column("prediction", no_wrap=True)
    columns = table_columns(report)
    for heading, _, _ in columns:
        table.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
    for name, metrics in result_rows(report):
        cells = [figure_text(metrics.get(metric, {}).get(key)) for _, metric, key in columns]
        table.add_row(name, *cells)
    c2f = report["metrics"].get("c2f", {"n": 0, "n_occluded": 0})
    table.caption = (
        f"{c2f['n']} instances, {c2f['n_occluded']} occluded, "
        f"{dataset['unprompted']} unprompted, {dataset['skipped']} skipped; percent"
    )
    return table


logger = logging.getLogger(__name__)


def print_about(path: Path, describe: Callable[[list[dict[str, Any]]], str]) -> int:
    """Print what can be said about an ``instances.jsonl``; returns the exit status.

    Args:
        path: of the file. One that cannot be read, or not be described, is named in the log.
        describe: makes the text from its records.
    """
    logging.basicConfig(format="%(message)s")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        print(describe([json.loads(line) for line in lines]))
    except (AmodalError, OSError, ValueError, KeyError) as error:
        logger.error("%s: %s", path, error)
        return 1
    return 0
