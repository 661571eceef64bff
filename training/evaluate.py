# SPDX-License-Identifier: Apache-2.0
"""``python -m training.evaluate``: measure a model on an amodal dataset."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.options import silence_packages

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate, print the table, write the reports; 1 with a message when that is impossible."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    silence_packages()

    from amodal_ros.errors import AmodalError

    try:
        _run(arguments)
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from training.datasets import CorruptRecordError, open_dataset
    from training.evaluation.markdown import report_markdown
    from training.evaluation.open_model import open_model
    from training.evaluation.prompting import Prompter
    from training.evaluation.report import build_report, build_table, write_report, write_sheet
    from training.evaluation.runner import evaluate

    dataset = open_dataset(arguments.dataset, arguments.root, arguments.annotations)
    model = open_model(
        arguments.model,
        arguments.adapter_gain,
        arguments.base,
        arguments.threads,
        second_look=arguments.second_look,
        ask_twice=not arguments.ask_once,
        fine_edges=not arguments.plain_edges,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    bad: list[CorruptRecordError] = []
    prompter = Prompter(model.predictor, arguments.prompt, arguments.track, arguments.seed)
    evaluation = evaluate(
        dataset,
        prompter,
        limit=arguments.limit,
        bad=bad if arguments.skip_bad else None,
        progress=_progress,
    )
    report = build_report(
        evaluation,
        model.description,
        dataset,
        arguments.prompt,
        arguments.track,
        arguments.seed,
        bad,
    )
    write_report(arguments.out, report, evaluation)
    write_sheet(arguments.out / "sheet.png", evaluation.instances)
    text = "# Evaluation\n\n" + report_markdown(report, "sheet.png")
    (arguments.out / "report.md").write_text(text, encoding="utf-8")
    for error in bad:
        logger.warning("skipped %s", error)
    console = Console()
    if not console.is_terminal:  # rich takes 80 columns there, too few for the table
        console = Console(width=200)
    console.print(build_table(report))
    logger.info("wrote report.json, report.md, instances.jsonl and sheet.png to %s", arguments.out)


def _progress(images: Sequence[list[int]]) -> Iterator[list[int]]:
    """A bar on a terminal; elsewhere, where it would only show at the end, some lines."""
    from rich.console import Console
    from rich.progress import track

    if Console().is_terminal:
        yield from track(images, "evaluating")
        return
    step = max(len(images) // 20, 1)
    for count, indices in enumerate(images, start=1):
        yield indices
        if count % step == 0 or count == len(images):
            logger.info("%d of %d images", count, len(images))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description="Measure a model on an amodal dataset."
    )
    parser.add_argument(
        "--model", type=Path, required=True, help="ONNX model folder or .safetensors checkpoint"
    )
    parser.add_argument(
        "--base", type=Path, help="with a checkpoint: the base weights it was trained on"
    )
    parser.add_argument(
        "--dataset",
        required=True,
        help="amodal_coco, cocoa, cocoa_cls, fishbowl, kins, movid_a or mp3d_amodal",
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of the images")
    parser.add_argument(
        "--annotations", type=Path, required=True, help="the dataset's annotation file"
    )
    parser.add_argument(
        "--prompt",
        choices=("visible_box", "amodal_box", "points"),
        default="visible_box",
        help="what the model is given of each object (visible_box)",
    )
    parser.add_argument(
        "--track", action="store_true", help="M_spec from the previous frame's amodal mask"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the reports")
    parser.add_argument("--limit", type=int, help="stop after this many instances")
    parser.add_argument("--adapter-gain", type=float, default=1.0, help="0: the base model (1)")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave corrupt records out and list them"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the points (0)")
    parser.add_argument(
        "--second-look",
        action="store_true",
        help="with a model folder: look again where a mask reaches the border of its region",
    )
    parser.add_argument(
        "--ask-once",
        action="store_true",
        help="ask for each mask once, also where what is seen is cut out unsteadily",
    )
    parser.add_argument(
        "--plain-edges",
        action="store_true",
        help="masks as the model gives them, without the edges of the picture; so with gain 0",
    )
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime (0: all cores)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
