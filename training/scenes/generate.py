# SPDX-License-Identifier: Apache-2.0
"""A run: chunks of scenes, on several processes, resumable; and a look at what was made."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

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
from training.worker_processes import check_drawing, in_processes

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
        BackendError: if there is something to draw and MuJoCo cannot.
    """
    if count < 1 or workers < 1:
        raise InvalidInputError(f"count {count}, workers {workers}: expected at least 1")
    _claim(run, out)
    folders = [out / chunk_name(number) for number in range(-(-count // run.chunk_scenes))]
    missing = [number for number, folder in enumerate(folders) if not folder.exists()]
    if missing:
        check_drawing()
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


_COLUMNS = 8
_CELL_WH = (320, 240)
BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.85)


@dataclass(frozen=True)
class Summary:
    """Of some chunks: pictures, objects, and the objects by their hidden share."""

    pictures: int
    objects: int
    histogram: dict[str, int]


def summarise(files: Sequence[Path]) -> Summary:
    """Count pictures and objects of annotation files."""
    rates, pictures = [], 0
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        pictures += len(content["images"])
        rates += [annotation["occlude_rate"] for annotation in content["annotations"]]
    rate = np.array(rates)
    histogram = {"0": int((rate == 0).sum())}
    for low, high in zip((0.0, *BUCKETS[:-1]), BUCKETS, strict=True):
        histogram[f"{low:.2f}-{high:.2f}"] = int(((rate > low) & (rate <= high)).sum())
    return Summary(pictures, len(rates), histogram)


def write_sheet(files: Sequence[Path], path: Path, count: int = 32) -> None:
    """A PNG of pictures spread over the chunks, each beside itself with its outlines.

    Whole outlines are drawn in a colour of the object's own, hidden parts are red.

    Raises:
        InvalidInputError: if there is no picture.
    """
    entries = [entry for file in files for entry in _entries(file)]
    if not entries:
        raise InvalidInputError(f"expected annotation files with pictures, got {len(files)} files")
    step = max(1, len(entries) // count)
    cells = [_cell(*entry) for entry in entries[::step][:count]]
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % (_COLUMNS // 2))
    rows = [np.hstack(cells[k : k + _COLUMNS // 2]) for k in range(0, len(cells), _COLUMNS // 2)]
    if not cv2.imwrite(str(path), np.vstack(rows)):
        raise OSError(f"cannot write {path}")


def _entries(file: Path) -> list[tuple[Path, list[dict[str, Any]]]]:
    content = json.loads(file.read_text(encoding="utf-8"))
    return [
        (
            file.parent / "images" / image["file_name"],
            [a for a in content["annotations"] if a["image_id"] == image["id"]],
        )
        for image in content["images"]
    ]


def _cell(path: Path, annotations: list[dict[str, Any]]) -> np.ndarray:
    image = cv2.imread(str(path))
    if image is None:
        raise InvalidInputError(f"{path}: expected a picture")
    marked = image.copy()
    for number, annotation in enumerate(annotations):
        whole = coco_mask.decode(annotation["segmentation"])
        hidden = (whole > 0) & (coco_mask.decode(annotation["visible_mask"]) == 0)
        marked[hidden] = (0.5 * marked[hidden] + (0, 0, 127)).astype(np.uint8)
        hue = np.array([[[number * 37 % 180, 220, 255]]], np.uint8)
        ink = tuple(int(v) for v in cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0])
        lines, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(marked, lines, -1, ink, 2)
    both = [cv2.resize(i, _CELL_WH, interpolation=cv2.INTER_AREA) for i in (image, marked)]
    return np.hstack(both)
