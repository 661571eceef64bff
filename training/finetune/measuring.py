# SPDX-License-Identifier: Apache-2.0
"""Before and after: a model folder on the objects kept back and on the tabletop benchmark."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import write_text
from training.datasets import open_dataset
from training.evaluation.open_model import open_model_folder
from training.evaluation.prompting import Prompter
from training.evaluation.runner import MODEL, evaluate
from training.evaluation.scores import UNOCCLUDED_METRIC, percent
from training.finetune.settings import FinetuneSettings
from training.metrics.visible import visible_means
from training.worker_processes import run_command

logger = logging.getLogger(__name__)

STILLS = "stills.json"


@dataclass(frozen=True)
class Figures:
    """What a model reaches on a set, percent; None where there is nothing to average.

    Attributes:
        objects: how many.
        full: mIoU_full (c2f).
        occ: mIoU_occ.
        unoccluded: mIoU_full of the objects of which nothing is hidden.
        visible: IoU of the visible masks.
    """

    objects: int
    full: float | None
    occ: float | None
    unoccluded: float | None
    visible: float | None

    @property
    def score(self) -> float:
        """One number: the mean of mIoU_full and mIoU_occ, as far as they are there."""
        known = [value for value in (self.full, self.occ) if value is not None]
        return sum(known) / len(known) if known else 0.0


def measure(folder: Path, annotations: Path, kept: Path) -> Figures:
    """Evaluate a model folder as the node runs it, unless the figures are kept already."""
    if kept.is_file():
        return Figures(**json.loads(kept.read_text(encoding="utf-8")))
    dataset = open_dataset("amodal_coco", annotations.parent, annotations)
    prompter = Prompter(open_model_folder(folder, 1.0).predictor, "visible_box", False, 0)
    found = evaluate(dataset, prompter)
    board = found.boards[MODEL].compute()
    figures = Figures(
        objects=len(found.instances),
        full=board["c2f"]["miou_full"],
        occ=board["c2f"]["miou_occ"],
        unoccluded=board[UNOCCLUDED_METRIC]["miou_full"],
        visible=percent(visible_means(found.visible).iou),
    )
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_text(kept, json.dumps(asdict(figures)) + "\n")
    return figures


def given_benchmark(settings: FinetuneSettings) -> Path | None:
    """The stills of the folder that was named; None: none was.

    Raises:
        InvalidInputError: it holds none.
    """
    if settings.benchmark is None:
        return None
    file = settings.benchmark / STILLS
    if not file.is_file():
        raise InvalidInputError(f"--benchmark: expected {file}")
    return file


def benchmark_file(settings: FinetuneSettings) -> Path | None:
    """The tabletop benchmark's pictures, rendered where they are not there; None: not wanted.

    Raises:
        InvalidInputError: they cannot be made, or the folder that was named holds none.
    """
    given = given_benchmark(settings)
    if given is not None or not settings.stills:
        return given
    folder = settings.out / "benchmark"
    file = folder / STILLS
    if not file.is_file():
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run left
        logger.info("rendering %d pictures of the tabletop benchmark", settings.stills)
        run_command(
            "benchmarks.tabletop",
            *("--stills", str(settings.stills), "--clips", "0", "--seed", "0"),
            *("--out", str(folder)),
        )
    return file


def lost(before: Figures, after: Figures) -> float:
    """Points lost: the larger of the losses in mIoU_full and mIoU_occ; negative: none."""
    pairs = ((before.full, after.full), (before.occ, after.occ))
    return max((a - b for a, b in pairs if a is not None and b is not None), default=0.0)
