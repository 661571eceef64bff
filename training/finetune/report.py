# SPDX-License-Identifier: Apache-2.0
"""What a fine-tuning brought, as a table."""

from __future__ import annotations

from training.finetune.measuring import Figures
from training.finetune.pipeline import Result

_COLUMNS = ("full", "occ", "unoccluded", "visible")


def report_markdown(result: Result) -> str:
    """Before and after, in percent; see `Figures`."""
    lines = [
        "| | objects | mIoU_full | mIoU_occ | unoccluded | visible IoU |",
        "|---|---:|---:|---:|---:|---:|",
        *_rows("objects kept back", result.own),
    ]
    if result.benchmark is not None:
        lines += _rows("tabletop benchmark", result.benchmark)
    share = round(100 * result.share)
    if share < 100:
        lines += ["", f"After: {share} % of the way from the older to the newly trained adapters."]
    if result.reason:
        lines += ["", f"The older model stays: {result.reason}."]
    return "\n".join(lines) + "\n"


def _rows(name: str, pair: tuple[Figures, Figures]) -> list[str]:
    return [
        f"| {name}, {when} | {figures.objects} | "
        + " | ".join(_shown(getattr(figures, column)) for column in _COLUMNS)
        + " |"
        for when, figures in zip(("before", "after"), pair, strict=True)
    ]


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
