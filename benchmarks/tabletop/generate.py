# SPDX-License-Identifier: Apache-2.0
"""All shots of a benchmark, on several processes, written as one ``amodal_coco`` dataset."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import track

from amodal_ros.errors import InvalidInputError
from benchmarks.tabletop.assets import prepare_assets, wheel_lines
from benchmarks.tabletop.catalog import OBJECT_SETS
from training.datasets import AmodalCocoWriter

if TYPE_CHECKING:
    from benchmarks.tabletop.shots import FrameRecord, Shot


@dataclass(frozen=True)
class Summary:
    """What was rendered.

    Attributes:
        annotations: the dataset's file.
        images: number of pictures.
        instances: number of annotated objects.
        left_out: objects not annotated, by reason.
        seconds: wall-clock time, download not included.
    """

    annotations: Path
    images: int
    instances: int
    left_out: dict[str, int]
    seconds: float


def generate(
    out: Path,
    stills: int,
    clips: int,
    frames: int,
    seed: int,
    object_set: str,
    workers: int,
    cache: Path,
) -> Summary:
    """Render a benchmark; the result depends on everything but `workers` and `cache`.

    Args:
        out: new or empty folder for ``images/`` and ``annotations.json``.
        stills: number of single pictures.
        clips: number of clips.
        frames: pictures in each clip, at least 2.
        seed: of everything.
        object_set: key of the catalogue's sets.
        workers: processes.
        cache: where wheels and unpacked objects are kept.

    Raises:
        InvalidInputError: counts that make no sense, or a folder that is not empty.
        AssetError: the objects cannot be fetched.
    """
    if stills < 0 or clips < 0 or stills + clips == 0 or frames < 2 or workers < 1:
        raise InvalidInputError(
            f"stills {stills}, clips {clips}, frames {frames}, workers {workers}: at least one "
            "still or clip, two frames and one worker are needed"
        )
    if out.exists() and any(out.iterdir()):
        raise InvalidInputError(f"{out} is not empty")
    assets = prepare_assets(object_set, cache)
    (out / "images").mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    writer = AmodalCocoWriter(
        {
            "description": f"amodal_ros tabletop benchmark, {object_set} objects",
            "seed": seed,
            "stills": stills,
            "clips": clips,
            "frames": frames,
            "sources": list(wheel_lines(object_set)),
        },
        sorted(item.name for item in OBJECT_SETS[object_set]),
    )
    hw = _image_hw()
    left_out: Counter[str] = Counter()
    images = instances = 0
    shots = _shots(out, stills, clips, frames, seed, object_set, assets)
    for shot, records in zip(shots, _render_all(shots, workers), strict=True):
        for record in records:
            video_id = shot.number + 1 if shot.kind == "clip" else None
            image_id = writer.add_image(
                record.file_name,
                hw,
                video_id=video_id,
                frame=record.frame if video_id is not None else None,
            )
            images += 1
            left_out.update(record.left_out)
            for number, category, amodal, visible in record.objects:
                track_id = number + 1 if video_id is not None else None
                writer.add_object(image_id, category, amodal, visible, track_id)
                instances += 1
    annotations = out / "annotations.json"
    writer.write(annotations)
    return Summary(annotations, images, instances, dict(left_out), time.monotonic() - start)


def _use_software_renderer() -> None:
    """Before mujoco is first imported: OSMesa, which needs no display, with one thread."""
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("LP_NUM_THREADS", "1")


def _image_hw() -> tuple[int, int]:
    _use_software_renderer()
    from benchmarks.tabletop.shots import HW

    return HW


def _shots(
    out: Path,
    stills: int,
    clips: int,
    frames: int,
    seed: int,
    object_set: str,
    assets: Path,
) -> list[Shot]:
    _use_software_renderer()
    from benchmarks.tabletop.shots import Shot

    return [Shot("still", n, seed, 1, object_set, assets, out) for n in range(stills)] + [
        Shot("clip", n, seed, frames, object_set, assets, out) for n in range(clips)
    ]


def _render_all(shots: Sequence[Shot], workers: int) -> Iterator[list[FrameRecord]]:
    """Records of the shots in order; each process renders its own."""
    from benchmarks.tabletop.shots import render_shot

    if workers == 1:
        yield from track(map(render_shot, shots), "rendering", total=len(shots))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from track(pool.map(render_shot, shots), "rendering", total=len(shots))
