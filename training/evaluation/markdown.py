# SPDX-License-Identifier: Apache-2.0
"""A report as Markdown, and generated blocks of it in a document.

``python -m training.evaluation.markdown docs/evaluation.md NAME=report.json …`` rewrites what
stands between ``<!-- generated NAME -->`` and ``<!-- end NAME -->``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amodal_ros.errors import AmodalError, InvalidInputError
from amodal_ros.reporting import markdown_table, put_block, wrapped
from training.evaluation.report import figure_text, result_rows, table_columns

logger = logging.getLogger(__name__)


def report_markdown(report: Mapping[str, Any], sheet: str | None = None) -> str:
    """The whole report: what was run, results with baselines, buckets; no machine paths."""
    dataset, model = report["dataset"], report["model"]
    run = (
        f"Model `{model['name']}` ({model['kind']}, "
        f"{'trained' if model['trained'] else 'untrained'}, adapter gain "
        f"{model['adapter_gain']:g}), sha256 `{model['sha256'][:16]}`; dataset "
        f"`{dataset['name']}`, `{Path(dataset['annotations']).name}`"
        + (
            f", sha256 `{dataset['annotations_sha256'][:16]}`"
            if dataset["annotations_sha256"]
            else ""
        )
        + f"; prompt `{report['prompt']}`"
        + (", M_spec from the previous frame's amodal mask" if report["track"] else "")
        + f". {dataset['images']} images, {dataset['instances']} instances "
        f"({dataset['unprompted']} unprompted, {dataset['skipped']} records skipped). Percent."
    )
    lines = [wrapped(run), ""]
    columns = table_columns(report)
    lines.append(
        markdown_table(
            [
                ["prediction", *(heading for heading, _, _ in columns)],
                *(
                    [
                        name,
                        *(figure_text(m.get(metric, {}).get(key)) for _, metric, key in columns),
                    ]
                    for name, m in result_rows(report)
                ),
            ]
        )
    )
    lines += [
        "",
        "By occlusion rate (`c2f`, raw; the hull of the true visible mask beside it):",
        "",
    ]
    hull = report["baselines"].get("convex hull of the true visible mask", {}).get("buckets", {})
    lines.append(
        markdown_table(
            [
                ["occlusion", "instances", "full", "occ", "boundary F", "hull full", "hull occ"],
                *(
                    [
                        label,
                        str(figures["n"]),
                        *(
                            figure_text(figures[k])
                            for k in ("miou_full", "miou_occ", "boundary_f")
                        ),
                        *(figure_text(hull[label][k]) for k in ("miou_full", "miou_occ")),
                    ]
                    for label, figures in report["buckets"].items()
                ),
            ]
        )
    )
    if sheet is not None:
        lines += ["", f"![best, median and worst cases]({sheet})"]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the blocks of a document from reports; 1 with a message when that is impossible."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation.markdown",
        description="Rewrite the generated blocks of a document from reports.",
    )
    parser.add_argument("document", type=Path, help="with blocks '<!-- generated NAME -->'")
    parser.add_argument("reports", nargs="+", metavar="NAME=report.json")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        for argument in arguments.reports:
            name, equals, file = argument.partition("=")
            if not equals:
                raise InvalidInputError(f"expected NAME=report.json, got {argument!r}")
            report = json.loads(Path(file).read_text(encoding="utf-8"))
            put_block(arguments.document, name, report_markdown(report))
    except (AmodalError, OSError, ValueError) as error:
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
