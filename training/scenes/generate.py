# SPDX-License-Identifier: Apache-2.0
"""A run: chunks of scenes, on several processes, resumable, the same for any number of them."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import remove_unfinished, write_text
from training.scenes.models import SPLITS
from training.worker_processes import end_with_parent

LOGGER = logging.getLogger(__name__)

_VERSION = 2
_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, kw_only=True)
class SceneRun:
    """What to make; every chunk depends on this and its number alone.

    Attributes:
        models: folder of Sweet Home 3D catalogues.
        backgrounds: folder of photos for walls, tables and labels, or None.
        environments: folder of environment maps, or None: light of made-up rooms alone.
        split: "train" or "validation": which models are used.
        seed: of everything, at least 0.
        views: pictures of each scene.
        chunk_scenes: scenes in a chunk.
    """

    models: Path
    backgrounds: Path | None
    environments: Path | None
    split: str
    seed: int
    views: int
    chunk_scenes: int

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InvalidInputError: naming it.
        """
        if self.seed < 0 or self.views < 1 or self.chunk_scenes < 1:
            raise InvalidInputError(
                f"seed {self.seed}, views {self.views}, scenes of a chunk {self.chunk_scenes}: "
                "expected a seed of at least 0, and at least one of the others"
            )
        if self.split not in SPLITS:
            raise InvalidInputError(f"split: expected one of {SPLITS}, got {self.split!r}")
        for folder in (self.models, self.backgrounds, self.environments):
            if folder is not None and not folder.is_dir():
                raise InvalidInputError(f"{folder}: expected a folder")
        if self.backgrounds is not None and not self.photos():
            raise InvalidInputError(f"{self.backgrounds}: expected photos {_PHOTO_SUFFIXES}")

        if self.environments is not None and not self.maps():
            raise InvalidInputError(
                f"{self.environments}: expected .npz files of scripts.fetch_environments"
            )

    def maps(self) -> list[Path]:
        """Environment maps in a fixed order."""
        return [] if self.environments is None else sorted(self.environments.glob("*.npz"))

    def photos(self) -> list[Path]:
        """Background photos in a fixed order."""
        if self.backgrounds is None:
            return []
        found = self.backgrounds.rglob("*")
        return sorted(path for path in found if path.suffix.lower() in _PHOTO_SUFFIXES)


@dataclass(frozen=True)
class ChunkReport:
    """What a chunk holds: number, pictures, objects, seconds of processor time."""

    number: int
    pictures: int
    objects: int
    cpu_s: float


def generate(run: SceneRun, count: int, out: Path, cache: Path, workers: int) -> list[Path]:
    """Make all missing chunks.

    Args:
        run: what to make.
        count: scenes; rounded up to whole chunks, and a later call may ask for more.
        out: folder of the chunks; one run at a time.
        cache: folder for models made ready.
        workers: processes.

    Returns:
        The annotation files, in order.

    Raises:
        InvalidInputError: if `out` holds another run, or a number is below 1.
        CorruptRecordError: if a catalogue, a model or a photo cannot be read.
    """
    if count < 1 or workers < 1:
        raise InvalidInputError(f"count {count}, workers {workers}: expected at least 1")
    _claim(run, out)
    folders = [out / chunk_name(number) for number in range(-(-count // run.chunk_scenes))]
    missing = [number for number, folder in enumerate(folders) if not folder.exists()]
    started = time.monotonic()
    objects = 0
    for done, report in enumerate(_made(run, missing, out, cache, workers), start=1):
        objects += report.objects
        LOGGER.info(
            "%s: %d pictures, %d objects, %.1f objects a second of processor time; "
            "%d of %d chunks, %.1f objects/s",
            chunk_name(report.number),
            report.pictures,
            report.objects,
            report.objects / report.cpu_s,
            done,
            len(missing),
            objects / (time.monotonic() - started),
        )
    return [folder / "annotations.json" for folder in folders]


def chunk_name(number: int) -> str:
    """Folder of a chunk."""
    return f"chunk_{number:05d}"


def _claim(run: SceneRun, out: Path) -> None:
    """Write the manifest, or check that the folder belongs to this run; clear broken chunks."""
    out.mkdir(parents=True, exist_ok=True)
    wanted = {
        "version": _VERSION,
        **{
            k: v
            for k, v in asdict(run).items()
            if k not in ("models", "backgrounds", "environments")
        },
        "catalogues": sorted(path.name for path in run.models.rglob("*.sh3f")),
        "environments": [path.name for path in run.maps()],
        "photos": [path.name for path in run.photos()],
    }
    path = out / "manifest.json"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        differing = sorted(key for key in wanted if found.get(key) != wanted[key])
        if differing:
            raise InvalidInputError(f"{out} holds another run: {', '.join(differing)} differ")
    else:
        write_text(path, json.dumps(wanted, indent=1) + "\n")
    remove_unfinished(out, "chunk_*")


def _made(
    run: SceneRun, missing: list[int], out: Path, cache: Path, workers: int
) -> Iterator[ChunkReport]:
    """Reports of the chunks as they are finished.

    Always in processes of their own: OSMesa and torch's triton each bring an LLVM, and a process
    that loads both dies.
    """
    if not missing:
        return
    pool = ProcessPoolExecutor(
        min(workers, len(missing)), mp_context=get_context("spawn"), initializer=end_with_parent
    )
    try:
        futures = [pool.submit(_make, run, number, out, cache) for number in missing]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _make(run: SceneRun, number: int, out: Path, cache: Path) -> ChunkReport:
    # Before mujoco is first imported: OSMesa needs no display; one thread for each process.
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("LP_NUM_THREADS", "1")
    from training.scenes.chunk import make_chunk

    return make_chunk(run, number, out, cache)
