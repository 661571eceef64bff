# SPDX-License-Identifier: Apache-2.0
"""A run: chunks of scenes, on several processes, resumable, the same for any number of them."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import remove_unfinished, write_text
from training.scenes.chunk import make_chunk
from training.scenes.run import SceneRun, chunk_name
from training.worker_processes import in_processes

LOGGER = logging.getLogger(__name__)

_VERSION = 2


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
    make = partial(make_chunk, run, out=out, cache=cache)
    reports = in_processes(make, missing, workers)
    for done, report in enumerate(reports, start=1):
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
