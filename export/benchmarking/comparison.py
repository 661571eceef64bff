# SPDX-License-Identifier: Apache-2.0
"""Runs the comparison and builds what its JSON file says."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from amodal_ros.loading import EngineOptions, load_engine
from amodal_ros.model_folder.manifest import load_manifest
from amodal_ros.model_folder.small import load_small
from amodal_ros.reporting import mark, provenance, summarise
from export.benchmarking.contestants import Contestant, Entry, Ours, open_contestant
from export.benchmarking.memory import peak_rss_mb
from export.benchmarking.models import Model
from export.benchmarking.scene import HW, draw_scene
from export.benchmarking.timing import Samples, ratios, time_side_by_side

logger = logging.getLogger(__name__)

ONNXRUNTIME = "onnxruntime"
OURS_ONNX = "first in onnxruntime"  # not among those whose memory is measured for each number
OURS_SMALL = "ours small"  # the first model at its smaller size, where it has one
OURS_BOTH = "ours both"  # at both sizes, as a node with a frame budget: its memory alone
NAIVE_LIMIT_8, BASE_LIMIT_8, SAME_LIMIT_8 = 0.12, 1.0, 1.3
BASE_LIMIT_1, RSS_LIMIT_16_MB = 0.25, 600.0


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        objects: the numbers of objects.
        repeats: measured rounds.
        warm_up: rounds before.
        backend: engine of ours, of the naive way and of base SAM; where it is another than ONNX
            Runtime, all run in that as well.
        provider: ONNX Runtime's execution provider, of all contestants in ONNX Runtime.
        threads: of every contestant.
        without_torch: leave out the official predictor.
        base: folder of the base weights.
    """

    objects: tuple[int, ...]
    repeats: int
    warm_up: int
    backend: str
    provider: str
    threads: int
    without_torch: bool
    base: Path

    def entry(self, kind: str, folder: Path, backend: str = "") -> Entry:
        """A contestant of these settings; `backend` empty: theirs."""
        place = str(folder.resolve())
        return Entry(kind, place, backend or self.backend, self.provider, self.threads)


def best_backend(folder: Path, threads: int) -> str:
    """The engine that `backend: auto` takes for a model folder on this machine.

    Raises:
        AmodalError: when there is none.
    """
    engine = load_engine(load_manifest(folder), EngineOptions(threads=threads))
    engine.backend.close()
    return engine.options.backend


def compare(models: Sequence[Model], settings: Settings) -> dict[str, Any]:
    """Measures everything; returns the JSON document."""
    entries = _entries(models, settings)
    timed = _time_all(entries, settings)
    memory = _memory(models, entries, settings)
    rows = [
        [_row(index, models, timed[n], memory, n) for n in settings.objects]
        for index in range(len(models))
    ]
    return {
        "benchmark": "many objects",
        **provenance(),
        "settings": {
            "image_hw": list(HW),
            "objects": list(settings.objects),
            "repeats": settings.repeats,
            "warm_up": settings.warm_up,
            "backend": settings.backend,
            "provider": settings.provider,
            "threads": settings.threads,
            "without_torch": settings.without_torch,
        },
        "models": [model.description() for model in models],
        "results": rows[0],
        "other_models": [
            {"mode": model.manifest.mode, "name": model.manifest.name, "results": found}
            for model, found in zip(models[1:], rows[1:], strict=True)
        ],
        "rss_mb_of_others": {
            name: round(memory[name, max(settings.objects)], 1)
            for name in entries
            if (name, max(settings.objects)) in memory and not name.startswith("ours")
        },
        "marks": _marks(rows[0]),
    }


def _entries(models: Sequence[Model], settings: Settings) -> dict[str, Entry]:
    """The contestants by name; `naive` is that of the first model of mode `full`."""
    entries = {
        f"ours {index}": settings.entry("ours", model.folder) for index, model in enumerate(models)
    }
    for model in models:
        name = "naive" if model.manifest.mode == "full" else "naive roi"
        entries.setdefault(name, settings.entry("naive", model.folder))
    if load_small(models[0].manifest) is not None:
        entries[OURS_SMALL] = settings.entry("small", models[0].folder)
    entries["base"] = settings.entry("base", settings.base, ONNXRUNTIME)
    if settings.backend != ONNXRUNTIME:
        first = models[0].folder
        entries[OURS_ONNX] = settings.entry("ours", first, ONNXRUNTIME)
        entries["base same"] = settings.entry("base", settings.base)
        if "naive" in entries:
            naive = Path(entries["naive"].folder)
            entries["naive onnx"] = settings.entry("naive", naive, ONNXRUNTIME)
    if not settings.without_torch:
        entries["torch"] = settings.entry("torch", settings.base)
    return entries


@dataclass(frozen=True)
class _Timed:
    """Samples of one number of objects, and what each step of ours took in each round."""

    samples: Samples
    steps: dict[str, list[Mapping[str, float]]]


def _time_all(entries: Mapping[str, Entry], settings: Settings) -> dict[int, _Timed]:
    contestants = {name: open_contestant(entry) for name, entry in entries.items()}
    try:
        return {n: _time_objects(contestants, n, settings) for n in settings.objects}
    finally:
        for contestant in contestants.values():
            contestant.close()


def _time_objects(
    contestants: Mapping[str, Contestant], objects: int, settings: Settings
) -> _Timed:
    logger.info("%d objects: %d rounds", objects, settings.warm_up + settings.repeats)
    image, boxes = draw_scene(objects)
    steps: dict[str, list[Mapping[str, float]]] = {
        name: [] for name, contestant in contestants.items() if isinstance(contestant, Ours)
    }

    def run(name: str, contestant: Contestant) -> None:
        contestant.run(image, boxes)
        if isinstance(contestant, Ours):
            steps[name].append(contestant.timings_ms)

    functions = {name: partial(run, name, each) for name, each in contestants.items()}
    samples = time_side_by_side(functions, settings.warm_up, settings.repeats)
    return _Timed(samples, {name: found[settings.warm_up :] for name, found in steps.items()})


def _memory(
    models: Sequence[Model], entries: Mapping[str, Entry], settings: Settings
) -> dict[tuple[str, int], float]:
    """Peak memory of ours for each number of objects, of the others for the largest."""
    entries = dict(entries)
    if OURS_SMALL in entries:
        entries[OURS_BOTH] = settings.entry("both", models[0].folder)
    wanted = [(f"ours {index}", n) for index in range(len(models)) for n in settings.objects]
    if OURS_BOTH in entries:
        wanted += [(OURS_BOTH, n) for n in settings.objects]
    wanted += [(name, max(settings.objects)) for name in entries if not name.startswith("ours")]
    logger.info("memory: %d processes", len(wanted))
    return {(name, n): peak_rss_mb(entries[name], n) for name, n in wanted}


def _row(
    index: int,
    models: Sequence[Model],
    timed: _Timed,
    memory: Mapping[tuple[str, int], float],
    objects: int,
) -> dict[str, Any]:
    """One entry of `results`; every `..._ms` and `ratio_...` is a median, its spread beside it."""
    ours, samples = f"ours {index}", timed.samples
    others = {"naive": "naive", "base_onnx": "base", "base_same": "base same", "torch": "torch"}
    if models[index].manifest.mode == "roi":
        others["naive_same_mode"] = "naive roi"
    columns = {"ours_ms": samples[ours]}
    for key, name in others.items():
        if name in samples:
            columns[f"{key}_ms"] = samples[name]
            ratio_key = f"ratio_{key.removesuffix('_onnx')}"
            columns[ratio_key] = ratios(samples[ours], samples[name])
    if index == 0 and OURS_ONNX in samples:
        columns["ours_onnx_ms"] = samples[OURS_ONNX]
        for key, name in (("naive_onnx", "naive onnx"), ("base_onnx", "base")):
            if name in samples:
                columns[f"{key}_ms"] = samples[name]
                columns[f"ratio_{key}"] = ratios(samples[OURS_ONNX], samples[name])
    if index == 0 and OURS_SMALL in samples:
        columns["ours_small_ms"] = samples[OURS_SMALL]
        for key, name in (("naive", "naive"), ("base", "base"), ("base_same", "base same")):
            if name in samples:
                columns[f"ratio_{key}_small"] = ratios(samples[OURS_SMALL], samples[name])
    summaries = {key: summarise(values) for key, values in columns.items()}
    row: dict[str, Any] = {"n_objects": objects}
    row |= {key: summary["median"] for key, summary in summaries.items()}
    row.setdefault("torch_ms", None)
    row["rss_mb"] = round(memory[ours, objects], 1)
    if index == 0 and (OURS_BOTH, objects) in memory:
        row["rss_both_mb"] = round(memory[OURS_BOTH, objects], 1)
    row["steps_ms"] = {
        step: summarise(found[step] for found in timed.steps[ours])["median"]
        for step in timed.steps[ours][0]
    }
    row["spread"] = {
        key: {part: summary[part] for part in ("q1", "q3", "min", "max")}
        for key, summary in summaries.items()
    }
    return row


def _marks(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was promised of the first model, for the numbers of objects that were measured."""
    by_count = {row["n_objects"]: row for row in rows}
    marks = {}
    if 8 in by_count:
        value = by_count[8]["ratio_naive"]
        marks["eight_objects_over_naive"] = mark(value, NAIVE_LIMIT_8, "ratio")
        marks["eight_objects_over_base"] = mark(by_count[8]["ratio_base"], BASE_LIMIT_8, "ratio")
        same = by_count[8].get("ratio_base_same", by_count[8]["ratio_base"])
        marks["eight_objects_over_base_in_the_same_engine"] = mark(same, SAME_LIMIT_8, "ratio")
    if 1 in by_count:
        marks["one_object_over_base"] = mark(by_count[1]["ratio_base"], BASE_LIMIT_1, "ratio")
    if 16 in by_count:
        marks["rss_of_16_objects"] = mark(by_count[16]["rss_mb"], RSS_LIMIT_16_MB, "MB")
        if "rss_both_mb" in by_count[16]:
            both = by_count[16]["rss_both_mb"]
            marks["rss_of_16_objects_at_both_sizes"] = mark(both, RSS_LIMIT_16_MB, "MB")
    return marks
