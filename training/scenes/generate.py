# SPDX-License-Identifier: Apache-2.0
"""A run: chunks of scenes, on several processes, resumable, the same for any number of them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.annotations.amodal_coco import AmodalCocoWriter
from amodal_ros.errors import InvalidInputError
from amodal_ros.files import remove_unfinished, whole_folder, write_text
from training.rendering.environment import Lights
from training.rendering.sh3f import CatalogueModel
from training.scenes.dressing import PropMaker
from training.scenes.models import SPLITS, ModelStore, usable_models
from training.scenes.run import ChunkReport, SceneRun, chunk_name
from training.scenes.surfaces import Surfaces
from training.scenes.views import HW
from training.worker_processes import in_processes

if TYPE_CHECKING:
    from training.scenes.scene import Picture

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


JPEG_QUALITY = 92
Mask = NDArray[np.bool_]
PackedObject = tuple[str, NDArray[np.uint8], NDArray[np.uint8]]


def make_chunk(run: SceneRun, number: int, out: Path, cache: Path) -> ChunkReport:
    """Render a chunk; it is there whole or not at all."""
    from training.rendering.canvas import current_context
    from training.scenes.scene import render_scene

    cv2.setNumThreads(1)
    current_context()
    started = time.process_time()
    models = usable_models(run.models, run.split)
    surfaces = Surfaces(run.photos())
    lights = Lights(run.maps())
    maker = PropMaker(models, ModelStore(cache), surfaces, run.slender)
    pictures: list[tuple[str, list[PackedObject]]] = []
    first = number * run.chunk_scenes
    with whole_folder(out / chunk_name(number)) as folder:
        (folder / "images").mkdir()
        for scene in range(first, first + run.chunk_scenes):
            rng = np.random.default_rng([run.seed, SPLITS.index(run.split), scene])
            shown = render_scene(rng, maker, surfaces, lights, run.views)
            for view, picture in enumerate(shown):
                name = f"{run.split}_{scene:06d}_{view}.jpg"
                _save(folder / "images" / name, picture)
                pictures.append((name, [_packed(*one) for one in picture.objects]))
        _annotate(run, number, models, pictures).write(folder / "annotations.json")
    objects = sum(len(found) for _, found in pictures)
    return ChunkReport(number, len(pictures), objects, time.process_time() - started)


def _save(path: Path, picture: Picture) -> None:
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    if not cv2.imwrite(str(path), picture.image[..., ::-1], quality):
        raise OSError(f"cannot write {path}")


def _annotate(
    run: SceneRun,
    number: int,
    models: Iterable[CatalogueModel],
    pictures: Sequence[tuple[str, Sequence[PackedObject]]],
) -> AmodalCocoWriter:
    """Masks of all pictures; a category is a model's id or the kind of a shape made here."""
    used = sorted({category for _, found in pictures for category, _, _ in found})
    by_id = {model.model_id: model for model in models}
    info = {
        "description": f"amodal_ros rendered scenes, {run.split}",
        "seed": run.seed,
        "chunk": number,
        "models": {name: _credit(by_id[name]) for name in used if name in by_id},
    }
    writer = AmodalCocoWriter(info, used)
    for name, found in pictures:
        image = writer.add_image(name, HW)
        for category, *masks in found:
            amodal, visible = (_unpacked(mask) for mask in masks)
            writer.add_object(image, category, amodal, visible)
    return writer


def _packed(category: str, amodal: Mask, visible: Mask) -> PackedObject:
    """Eight pixels a byte: a chunk's masks would fill more than a gigabyte."""
    return category, np.packbits(amodal), np.packbits(visible)


def _unpacked(mask: NDArray[np.uint8]) -> Mask:
    return np.unpackbits(mask, count=HW[0] * HW[1]).reshape(HW).astype(bool)


def _credit(model: CatalogueModel) -> dict[str, str]:
    return {
        "file": Path(model.catalogue).name,
        "name": model.name,
        "licence": model.licence,
        "creator": model.creator,
    }
