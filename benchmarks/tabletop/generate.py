# SPDX-License-Identifier: Apache-2.0
"""All shots of a benchmark, on several processes, written as ``amodal_coco`` datasets."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.progress import track

from amodal_ros.annotations.amodal_coco import AmodalCocoWriter
from amodal_ros.errors import InvalidInputError
from benchmarks.tabletop.assets import default_cache, prepare_assets, wheel_lines
from benchmarks.tabletop.catalog import OBJECT_SETS, FrameRecord, Kind, Shot
from training.worker_processes import check_drawing, in_processes

FILES: dict[Kind, str] = {"still": "stills.json", "clip": "clips.json"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to render; the result depends on everything but `workers` and `cache`.

    Attributes:
        out: new or empty folder for ``images/``, ``stills.json`` and ``clips.json``.
        stills: number of single pictures.
        clips: number of clips.
        frames: pictures in each clip, at least 2.
        seed: of everything, at least 0.
        object_set: which objects.
        workers: processes.
        cache: where wheels and unpacked objects are kept; by default the user's cache folder.
        screened: in clips a carried object hides others for more than a second.
    """

    out: Path
    stills: int = 100
    clips: int = 10
    frames: int = 24
    seed: int = 0
    object_set: Literal["household", "second", "slender"] = "household"
    workers: int = 2
    cache: Path | None = None
    screened: bool = False

    def __post_init__(self) -> None:
        """Refuse counts that make no sense.

        Raises:
            InvalidInputError: naming them.
        """
        counts = (self.stills, self.clips, self.seed)
        if min(counts) < 0 or self.stills + self.clips == 0 or self.frames < 2 or self.workers < 1:
            raise InvalidInputError(
                f"stills {self.stills}, clips {self.clips}, frames {self.frames}, seed "
                f"{self.seed}, workers {self.workers}: at least one still or clip, two frames, "
                "one worker and no negative number are needed"
            )
        if self.object_set not in OBJECT_SETS:
            raise InvalidInputError(
                f"unknown object set {self.object_set!r}; there are {', '.join(OBJECT_SETS)}"
            )


@dataclass(frozen=True)
class Summary:
    """What was rendered.

    Attributes:
        files: the datasets' annotation files: stills, then clips, as far as asked for.
        images: number of pictures.
        left_out: objects not annotated, by reason.
        seconds: wall-clock time, download not included.
    """

    files: tuple[Path, ...]
    images: int
    left_out: dict[str, int]
    seconds: float


def generate(plan: Plan) -> Summary:
    """Render a benchmark.

    Raises:
        InvalidInputError: the folder is not empty.
        BackendError: MuJoCo cannot draw.
        AssetError: the objects cannot be fetched.
    """
    if plan.out.exists() and any(plan.out.iterdir()):
        raise InvalidInputError(f"{plan.out} is not empty")
    check_drawing()
    assets = prepare_assets(plan.object_set, plan.cache or default_cache())
    (plan.out / "images").mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    writers: dict[Kind, AmodalCocoWriter] = {}
    left_out: Counter[str] = Counter()
    images = 0
    shots = _shots(plan, assets)
    made = track(
        in_processes(
            _render_screened if plan.screened else _render, shots, plan.workers, in_order=True
        ),
        "rendering",
        total=len(shots),
    )
    for shot, records in zip(shots, made, strict=True):
        writer = writers.setdefault(shot.kind, _writer(plan))
        for record in records:
            _add_frame(writer, shot, record)
            left_out.update(record.left_out)
            images += 1
    for kind, writer in writers.items():
        writer.write(plan.out / FILES[kind])
    return Summary(
        files=tuple(plan.out / FILES[kind] for kind in writers),
        images=images,
        left_out=dict(left_out),
        seconds=time.monotonic() - start,
    )


def _writer(plan: Plan) -> AmodalCocoWriter:
    kind = "screened clips, " if plan.screened else ""
    return AmodalCocoWriter(
        {
            "description": f"amodal_ros tabletop benchmark, {kind}{plan.object_set} objects",
            "seed": plan.seed,
            **({} if plan.screened else {"stills": plan.stills}),
            "clips": plan.clips,
            "frames": plan.frames,
            "sources": wheel_lines(plan.object_set),
        },
        sorted(item.name for item in OBJECT_SETS[plan.object_set]),
    )


def _add_frame(writer: AmodalCocoWriter, shot: Shot, record: FrameRecord) -> None:
    is_clip = shot.kind == "clip"
    image_id = writer.add_image(
        record.file_name,
        record.hw,
        video_id=shot.number + 1 if is_clip else None,
        frame=record.frame if is_clip else None,
    )
    for number, category, amodal, visible in record.objects:
        writer.add_object(image_id, category, amodal, visible, number + 1 if is_clip else None)


def _shots(plan: Plan, assets: Path) -> list[Shot]:
    counts: tuple[tuple[Kind, int, int], ...] = (
        ("still", plan.stills, 1),
        ("clip", plan.clips, plan.frames),
    )
    objects = OBJECT_SETS[plan.object_set]
    return [
        Shot(kind, number, plan.seed, frames, objects, assets, plan.out)
        for kind, count, frames in counts
        for number in range(count)
    ]


def _render(shot: Shot) -> list[FrameRecord]:
    from benchmarks.tabletop.shots import render_shot

    return render_shot(shot)


def _render_screened(shot: Shot) -> list[FrameRecord]:
    from benchmarks.tabletop.screened_shot import render_screened

    return render_screened(shot)
