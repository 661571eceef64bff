# SPDX-License-Identifier: Apache-2.0
"""``report.json``, ``instances.jsonl``, the table on the terminal, and a picture of some cases."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table

from amodal_ros.errors import AmodalError
from amodal_ros.files import file_sha256
from training.datasets import AmodalDataset, CorruptRecordError
from training.datasets.coco_tables import decode_segmentation
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
from training.metrics.visible import visible_means

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
    bad: Sequence[CorruptRecordError],
) -> dict[str, Any]:
    """Everything that was measured, ready for JSON; figures in percent, None where undefined."""
    boards = evaluation.boards
    metrics: dict[str, Any] = {}
    buckets: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    if boards:
        metrics = boards[MODEL].compute()
        metrics[POST] = {k: boards[POST].compute()[k] for k in ("c2f", UNOCCLUDED_METRIC)}
        metrics[VISIBLE] = in_percent(asdict(visible_means(evaluation.visible)))
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
            "skipped_records": list(map(str, bad)),
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


COLUMNS = 6
TILE = 220
TEXT_HEIGHT = 34
HEADING_HEIGHT = 26
CONTEXT = 1.7
TRUE_COLOR = (40, 200, 60)
PREDICTED_COLOR = (235, 60, 40)
VISIBLE_COLOR = (60, 120, 240)


def write_sheet(file: Path, instances: Sequence[Mapping[str, Any]]) -> None:
    """Write a PNG: three rows of cases by IoU of the hidden part, whole objects if none is hidden.

    Outlines: green the true amodal mask, red the prediction, blue the true visible mask.
    """
    key = "iou_occ" if any(i["iou_occ"] is not None for i in instances) else "iou_full"
    scored = [i for i in instances if i[key] is not None and i["prompted"]]
    ranked = _one_per_track(
        sorted(scored, key=lambda i: (-i[key], -i["iou_full"], str(i["instance_id"])))
    )
    middle = max(len(ranked) // 2 - COLUMNS // 2, 0)
    rows = (
        (f"best {key}", ranked[:COLUMNS]),
        (f"median {key}", ranked[middle : middle + COLUMNS]),
        (f"worst {key}", ranked[-COLUMNS:]),
    )
    parts = []
    for heading, chosen in rows:
        parts.append(
            _text(f"{heading}  (green: true, red: predicted, blue: visible)", HEADING_HEIGHT)
        )
        tiles = [_tile(instance) for instance in chosen]
        blank = np.full((TILE + TEXT_HEIGHT, TILE, 3), 255, dtype=np.uint8)
        parts.append(np.hstack(tiles + [blank] * (COLUMNS - len(tiles))))
    Image.fromarray(np.vstack(parts)).save(file)


def _one_per_track(ranked: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Keep one frame of each object of a video, the middle one: its frames look much alike."""
    groups: dict[Any, list[int]] = {}
    for place, instance in enumerate(ranked):
        track = (instance["video_id"], instance["track_id"])
        groups.setdefault(place if None in track else track, []).append(place)
    return [ranked[k] for k in sorted(places[len(places) // 2] for places in groups.values())]


def _tile(instance: Mapping[str, Any]) -> NDArray[np.uint8]:
    with Image.open(instance["image"]) as opened:
        image = np.asarray(opened.convert("RGB"))
    hw = (image.shape[0], image.shape[1])
    masks = [
        (decode_segmentation(instance[name], hw), color)
        for name, color in (
            ("amodal", TRUE_COLOR),
            ("prediction", PREDICTED_COLOR),
            ("visible", VISIBLE_COLOR),
        )
    ]
    left, top, side = _square(masks[0][0] | masks[1][0])
    matrix = np.array([[1, 0, -left], [0, 1, -top]], dtype=np.float32) * (TILE / side)
    picture = cv2.warpAffine(image, matrix, (TILE, TILE), flags=cv2.INTER_LINEAR)
    for mask, color in masks:
        small = cv2.warpAffine(
            mask.astype(np.uint8) * 255, matrix, (TILE, TILE), flags=cv2.INTER_LINEAR
        )
        outlines, _ = cv2.findContours(
            (small > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, outlines, -1, color, 2 if color != VISIBLE_COLOR else 1)
    caption = (
        f"{instance['category'][:18]} hidden {instance['occlusion_rate']:.0f}%",
        f"full {instance['iou_full']:.0f} occ {_number(instance['iou_occ'])}",
    )
    text = np.full((TEXT_HEIGHT, TILE, 3), 255, dtype=np.uint8)
    for line, content in enumerate(caption):
        place = (4, 13 + 15 * line)
        cv2.putText(text, content, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1)
    return np.vstack([picture, text])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _square(mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Left, top and side of a square around a mask, with some context."""
    rows, columns = np.nonzero(mask)
    side = CONTEXT * max(int(np.ptp(rows)), int(np.ptp(columns)), 16)
    return (
        float(columns.min() + columns.max()) / 2 - side / 2,
        float(rows.min() + rows.max()) / 2 - side / 2,
        float(side),
    )


def _text(content: str, height: int) -> NDArray[np.uint8]:
    strip = np.full((height, COLUMNS * TILE, 3), 235, dtype=np.uint8)
    cv2.putText(strip, content, (6, height - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1)
    return strip
