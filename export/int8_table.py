# SPDX-License-Identifier: Apache-2.0
"""What trying int8 gave, as a table of a document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amodal_ros.verification.gate import END_TO_END
from export.documents import put_between

BEGIN, END = "<!-- int8: written by export/int8.py -->", "<!-- int8: end -->"


def write_table(path: Path, report: Mapping[str, Any]) -> None:
    """Puts the table of a report into a document.

    Raises:
        InvalidInputError: the document does not have each mark once.
    """
    put_between(path, BEGIN, END, markdown(report))


def markdown(report: Mapping[str, Any]) -> str:
    """A line for each way: its time, and the worst of all frames end to end."""
    model, settings = report["model"], report["settings"]
    lines = [
        f"Commit {report['commit']}, {report['date'][:10]}; {report['machine']['cpu']}; "
        f"{model['name']}, mode {model['mode']}, {model['size']} px; "
        f"{settings['threads'] or 'all'} threads, medians of {settings['repeats']} frames, masks "
        f"of {len(settings['judging'])} other frames.",
        "",
        "| way | time / fp32 | MB | mask IoU | boundary F | predicted IoU off by | gate |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for entry in report["variants"]:
        rows = [row for row in entry["gate"]["rows"] if row["part"] == END_TO_END]
        found = [row["comparison"] for row in rows]
        iou = min(min(c["amodal_iou"], c["visible_iou"]) for c in found)
        boundary = min(c["boundary_f"] for c in found)
        error = max(c["predicted_iou_error"] for c in found)
        lines.append(
            f"| {entry['variant']} | {entry['ratio']:.2f} | {entry['megabytes']} | {iou:.4f} | "
            f"{boundary:.4f} | {error:.4f} | {'passes' if entry['gate']['passed'] else 'fails'} |"
        )
    return "\n".join([*lines, "", f"Kept: {report['kept'] or 'none, fp32 it is'}."])
