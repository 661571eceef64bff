# SPDX-License-Identifier: Apache-2.0
"""One chunk: its scenes rendered and written as an `amodal_coco` dataset of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.annotations.amodal_coco import AmodalCocoWriter
from amodal_ros.files import whole_folder
from training.rendering.environment import Lights
from training.rendering.sh3f import CatalogueModel
from training.scenes.dressing import PropMaker
from training.scenes.models import SPLITS, ModelStore, usable_models
from training.scenes.run import ChunkReport, SceneRun, chunk_name
from training.scenes.surfaces import Surfaces
from training.scenes.views import HW

if TYPE_CHECKING:
    from training.scenes.scene import Picture

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
    maker = PropMaker(models, ModelStore(cache), surfaces)
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
