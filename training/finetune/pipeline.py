# SPDX-License-Identifier: Apache-2.0
"""From sources to a model folder, step by step; what is there already is not done again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amodal_ros.errors import BackendError
from amodal_ros.files import whole_folder, write_bytes
from amodal_ros.model_folder.manifest import MANIFEST_NAME
from amodal_ros.verify import verify_model_dir
from training.datasets import open_dataset
from training.finetune.held_back import OBJECTS, make_held_back
from training.finetune.material import Material, open_material, render_scenes
from training.finetune.measuring import Figures, benchmark_file, given_benchmark, lost, measure
from training.finetune.running import (
    BATCH,
    device_section,
    recipe,
    seconds_of_step,
    train,
    write_recipe,
)
from training.finetune.settings import FinetuneSettings
from training.finetune.start import ADAPTERS, Start, find_start, write_between
from training.trainer.records import duration
from training.worker_processes import run_command

logger = logging.getLogger(__name__)

MODEL = "model"
SHARES = (1.0, 0.5, 0.25)
"""Of the way from older to newer adapters: the next is tried where one forgets too much."""

# For the time that is said first, roughly: an object through the predictor in samples of training,
# seconds for a picture of the benchmark and of a scene, and for an export with its checks.
_OBJECT_SAMPLES = 1.5
_STILL_OBJECTS, _STILL_S, _SCENE_S, _EXPORT_S = 10, 3.0, 3.0, 60.0


@dataclass(frozen=True)
class Result:
    """What came of it.

    Attributes:
        own: before and after, on the objects kept back.
        benchmark: before and after; None where it was not wanted.
        share: of the way to the newer adapters.
        model: the new model folder; None where the older model stays.
        reason: why it stays; empty otherwise.
    """

    own: tuple[Figures, Figures]
    benchmark: tuple[Figures, Figures] | None
    share: float
    model: Path | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class _Sets:
    """Annotation files of what is measured on."""

    own: Path
    benchmark: Path | None


def finetune(settings: FinetuneSettings) -> Result | None:
    """Do all that is missing.

    Returns:
        None where a signal stopped the training, which the same command continues.

    Raises:
        AmodalError: settings, sources or files that cannot be used; the message says which.
    """
    start = find_start(settings)
    given_benchmark(settings)  # a wrong one is refused before anything is made
    settings.claim()
    material = open_material(settings)
    for spec, (trained, held) in material.counts.items():
        logger.info("%s: %d to learn from, %d kept back", spec, trained, held)
    _prepare_recipe(settings, start, material)
    sets = _Sets(
        make_held_back(settings, material, settings.out / "held_back", OBJECTS),
        benchmark_file(settings),
    )
    render_scenes(settings, material)
    before = _measured(start.folder, sets, settings.out, "before")
    adapters = train(settings.recipe_file, settings.out / "run")
    if adapters is None:
        return None
    return _best(settings, start, sets, adapters, before)


def _prepare_recipe(settings: FinetuneSettings, start: Start, material: Material) -> None:
    """Measure a step, say how long all will take, and write the configuration down."""
    if settings.recipe_file.is_file():
        logger.info("going on in %s", settings.out)
        return
    config = recipe(start, material, settings, device_section("32-true"))
    step_s, precision = seconds_of_step(config)
    config["devices"] = device_section(precision)
    _say_time(settings, config, step_s)
    write_recipe(settings.recipe_file, config)


def _say_time(settings: FinetuneSettings, config: Mapping[str, Any], step_s: float) -> None:
    training_s = config["steps"] * step_s
    given, rendered = given_benchmark(settings), 0
    if given is None:
        rendered = settings.stills
        objects = OBJECTS + _STILL_OBJECTS * rendered
    else:
        objects = OBJECTS + len(open_dataset("amodal_coco", given.parent, given))
    measuring_s = 2 * objects * _OBJECT_SAMPLES * step_s / BATCH
    other_s = rendered * _STILL_S + settings.general_scenes * _SCENE_S + _EXPORT_S
    logger.info(
        "about %s in all: %s for %d steps of training (%.1f s each, %s on %s), %s for measuring "
        "%d objects before and after, %s for rendering and the export",
        duration(training_s + measuring_s + other_s),
        duration(training_s),
        config["steps"],
        step_s,
        config["devices"]["precision"],
        config["devices"]["accelerator"],
        duration(measuring_s),
        objects,
        duration(other_s),
    )


def _measured(folder: Path, sets: _Sets, out: Path, name: str) -> tuple[Figures, Figures | None]:
    """Figures on the objects kept back and on the benchmark."""
    logger.info("measuring %s", folder)
    kept = out / "measured"
    own = measure(folder, sets.own, kept / f"{name}_own.json")
    if sets.benchmark is None:
        return own, None
    return own, measure(folder, sets.benchmark, kept / f"{name}_benchmark.json")


def _best(
    settings: FinetuneSettings,
    start: Start,
    sets: _Sets,
    adapters: Path,
    before: tuple[Figures, Figures | None],
) -> Result:
    """The newest model that has not forgotten too much; the older one where none has not."""
    reason, after, share = "", before, 0.0
    for share in SHARES:
        candidate = settings.out / "candidates" / f"share_{round(100 * share):03d}"
        _export(settings, start, adapters, share, candidate)
        after = _measured(candidate / MODEL, sets, settings.out, candidate.name)
        reason = refusal(settings, before, after)
        if not reason:
            _publish(candidate, settings.out)
            break
        logger.info("%d %% of the way is refused: %s", round(100 * share), reason)
    benchmark = None
    if before[1] is not None and after[1] is not None:
        benchmark = (before[1], after[1])
    model = None if reason else settings.out / MODEL
    return Result((before[0], after[0]), benchmark, share, model, reason)


def refusal(
    settings: FinetuneSettings,
    before: tuple[Figures, Figures | None],
    after: tuple[Figures, Figures | None],
) -> str:
    """Why the older model is the better one; empty: it is not."""
    if before[1] is not None and after[1] is not None:
        points = lost(before[1], after[1])
        if points > settings.allowed_loss:
            return (
                f"it loses {points:.2f} points on the benchmark, {settings.allowed_loss:g} are "
                "allowed"
            )
    if after[0].score <= before[0].score:
        return (
            f"it is no better on the objects kept back ({after[0].score:.2f}, the older one "
            f"{before[0].score:.2f})"
        )
    return ""


def _export(
    settings: FinetuneSettings, start: Start, adapters: Path, share: float, candidate: Path
) -> None:
    """Adapters and model folder of a candidate; the export compares the graphs with torch."""
    if (candidate / MODEL / MANIFEST_NAME).is_file():
        return
    candidate.mkdir(parents=True, exist_ok=True)
    write_between(start.adapters, adapters, share, candidate / ADAPTERS)
    manifest = start.manifest
    region = [] if manifest.roi_factor is None else ["--roi-factor", str(manifest.roi_factor)]
    run_command(
        "export.to_onnx",
        *("--base", str(start.base), "--checkpoint", str(candidate / ADAPTERS)),
        *("--out", str(candidate / MODEL), "--name", manifest.name),
        *("--precision", manifest.weights_precision, "--size", str(manifest.image_size)),
        *("--mode", manifest.mode, *region),
    )


def _publish(candidate: Path, out: Path) -> None:
    """Check the folder as a robot would, and put it in its place with its adapters."""
    failures = verify_model_dir(candidate / MODEL).failures()
    if failures:
        raise BackendError(f"{candidate / MODEL} is not verified: {'; '.join(failures)}")
    with whole_folder(out / MODEL) as unfinished:
        for file in (candidate / MODEL).iterdir():
            write_bytes(unfinished / file.name, file.read_bytes())
    write_bytes(out / ADAPTERS, (candidate / ADAPTERS).read_bytes())


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
