# SPDX-License-Identifier: Apache-2.0
"""All variants on all clips, on several processes; what is done is kept and not done again."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from amodal_ros.errors import AmodalError
from amodal_ros.files import write_text
from benchmarks.tracking.clips import ClipSource
from benchmarks.tracking.scores import ClipScore
from benchmarks.tracking.segmenters import FrameSegmenter, ModelSegmenter, TruthLikeSegmenter
from benchmarks.tracking.variants import VARIANTS, Variant
from training.worker_processes import end_with_parent

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One clip and who answers.

    Attributes:
        source: the clip.
        model: folder; None: the truth with errors.
        threads: of the engine.
        variants: names, keys of `VARIANTS`.
    """

    source: ClipSource
    model: Path | None
    threads: int
    variants: tuple[str, ...]


def run_clip(job: Job) -> dict[str, Any]:
    """All variants on one clip, frame by frame together, so that they share what is the same."""
    frames = job.source.frames()
    segmenter: FrameSegmenter = (
        TruthLikeSegmenter() if job.model is None else ModelSegmenter(job.model, job.threads)
    )
    variants: dict[str, Variant] = {name: VARIANTS[name]() for name in job.variants}
    frame_s = 1 / job.source.frame_rate_hz
    scores = {name: ClipScore(frame_s) for name in job.variants}
    start = time.monotonic()
    for frame in frames:
        segmenter.start(frame)
        for name, variant in variants.items():
            scores[name].add(frame, variant.answer(frame, segmenter))
    return {
        "clip": job.source.name,
        "frames": len(frames),
        "seconds": round(time.monotonic() - start, 1),
        "variants": {name: score.result() for name, score in scores.items()},
    }


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
    files = [parts / f"{job.source.name}_{_digest(job, fingerprint)}.json" for job in jobs]
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
        for file in sorted(folder.glob("*.py")):
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
    source = {**asdict(job.source), "annotations": job.source.annotations.name}
    text = json.dumps([source, job.variants, fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
