# SPDX-License-Identifier: Apache-2.0
"""All variants on all clips, on several processes; what is done is kept and not done again."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.errors import AmodalError
from amodal_ros.files import write_text
from amodal_ros.types import Detections
from benchmarks.tracking.clips import ClipFrame, ClipSource
from benchmarks.tracking.detector import FaultyDetector, FoundBoxes
from benchmarks.tracking.scores import ClipScore
from benchmarks.tracking.segmenters import ModelSegmenter, TruthLikeSegmenter
from benchmarks.tracking.strips import Strip
from benchmarks.tracking.variants import GIVEN_VARIANTS, VARIANTS, Variant
from training.worker_processes import end_with_parent

logger = logging.getLogger(__name__)


GIVEN, DETECTED = "given", "detected"


@dataclass(frozen=True)
class Setting:
    """What is known of the objects of a clip.

    Attributes:
        mode: `GIVEN`: the box of the first frame in which an object is seen, by hand; `DETECTED`:
            boxes in each frame.
        errors: strength of the detector's faults, see `FaultyDetector`.
        drop: share of the boxes that it misses beside that.
        seed: of its faults.
    """

    mode: str
    errors: float
    drop: float
    seed: int

    @property
    def label(self) -> str:
        """For people."""
        return self.mode if self.mode == GIVEN else f"{self.mode}, errors {self.errors:g}"

    @property
    def variants(self) -> Mapping[str, Callable[[], Variant]]:
        """Who answers."""
        return GIVEN_VARIANTS if self.mode == GIVEN else VARIANTS


@dataclass(frozen=True)
class Job:
    """One clip, what is known of its objects, and who answers.

    Attributes:
        source: the clip.
        setting: what is known.
        model: folder; None: the truth with errors.
        threads: of the engine.
        strips: folder for a picture strip; None: none is made.
    """

    source: ClipSource
    setting: Setting
    model: Path | None
    threads: int
    strips: Path | None = None

    @property
    def name(self) -> str:
        """For file names."""
        return f"{self.source.name}_{self.setting.mode}_{self.setting.errors:g}"


def run_clip(job: Job) -> dict[str, Any]:
    """All variants on one clip, frame by frame together, so that they share what is the same."""
    frames, setting = job.source.frames(), job.setting
    segmenter = (
        TruthLikeSegmenter() if job.model is None else ModelSegmenter(job.model, job.threads)
    )
    variants = {name: make() for name, make in setting.variants.items()}
    frame_s = 1 / job.source.frame_rate_hz
    scores = {name: ClipScore(frame_s) for name in variants}
    detector = FaultyDetector(setting.errors, setting.drop, setting.seed, job.source.number)
    strip = None if job.strips is None else Strip(frames)
    seen: set[int] = set()
    start = time.monotonic()
    for frame in frames:
        found = detector.look(frame) if setting.mode == DETECTED else _given(frame, seen)
        ask = segmenter.at(frame)
        for name, variant in variants.items():
            answer = variant.answer(frame, found.detections, ask)
            scores[name].add(frame, found, answer)
            if strip is not None:
                strip.add(name, frame, answer)
    if job.strips is not None and strip is not None:
        strip.write(job.strips / f"{job.name}.png")
    return {
        "clip": job.source.name,
        "setting": setting.label,
        "frames": len(frames),
        "seconds": round(time.monotonic() - start, 1),
        "variants": {name: score.result() for name, score in scores.items()},
    }


def _given(frame: ClipFrame, seen: set[int]) -> FoundBoxes:
    """The true boxes of objects that are seen for the first time; adds their names to `seen`."""
    rows = [k for k, one in enumerate(frame.objects) if one.is_visible and one.name not in seen]
    seen.update(frame.objects[row].name for row in rows)
    boxes = [frame.objects[row].visible_box_xyxy for row in rows]
    return FoundBoxes(Detections.from_boxes(boxes), np.array(rows, np.int64))


def run_all(jobs: Sequence[Job], fingerprint: str, parts: Path, workers: int) -> list[Any]:
    """Results in the order of the jobs.

    Args:
        jobs: what to run.
        fingerprint: of everything that the results depend on; kept results of others are ignored.
        parts: folder for the results of single clips, made if need be.
        workers: processes; 1: this one.

    Raises:
        AmodalError: data or model cannot be used.
    """
    parts.mkdir(parents=True, exist_ok=True)
    files = [parts / f"{job.name}_{_digest(job, fingerprint)}.json" for job in jobs]
    results = [json.loads(f.read_text()) if f.is_file() else None for f in files]
    todo = [k for k, result in enumerate(results) if result is None]
    if len(todo) < len(jobs):
        logger.info("%d of %d clips were done before", len(jobs) - len(todo), len(jobs))
    start = time.monotonic()
    for done, (k, result) in enumerate(_each([jobs[k] for k in todo], todo, workers), start=1):
        results[k] = result
        write_text(files[k], json.dumps(result) + "\n")
        left = (time.monotonic() - start) / done * (len(todo) - done)
        logger.info("%s: %.0f s; %.1f min to go", result["clip"], result["seconds"], left / 60)
    return results


def code_digest() -> str:
    """Of what decides the results beside model and data: the core package and this benchmark."""
    import amodal_ros

    digest = hashlib.sha256()
    for folder in (Path(amodal_ros.__file__).parent, Path(__file__).parent):
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _each(
    jobs: Sequence[Job], numbers: Sequence[int], workers: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and result of each job, as they end."""
    if workers == 1:
        for number, job in zip(numbers, jobs, strict=True):
            yield number, run_clip(job)
        return
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=end_with_parent
    ) as pool:
        futures = {
            pool.submit(run_clip, job): number for number, job in zip(numbers, jobs, strict=True)
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except (AmodalError, OSError):
            pool.shutdown(cancel_futures=True)
            raise


def _digest(job: Job, fingerprint: str) -> str:
    text = f"{job.source.key} {job.setting} {sorted(job.setting.variants)} {fingerprint}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
