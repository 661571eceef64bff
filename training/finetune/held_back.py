# SPDX-License-Identifier: Apache-2.0
"""The objects kept back, as an evaluation set: composites whose whole masks are known."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import whole_folder
from training.datasets import AmodalCocoWriter
from training.finetune.material import Material
from training.finetune.settings import FinetuneSettings
from training.taos.config import TaosConfig
from training.taos.sampler import TaosDataset
from training.taos.types import TaosSample

ANNOTATIONS = "annotations.json"
OBJECTS = 60
_DRAWS = 12  # composites that are drawn for each object at most
_SEED = 1000
_CATEGORY = "object"


def make_held_back(
    settings: FinetuneSettings, material: Material, folder: Path, wanted: int = OBJECTS
) -> Path:
    """Compose the evaluation set, unless it is there; the same settings give the same pictures.

    A photo's object stays in its photo; cut-outs and views are put into a picture. Others hide
    some of them. Half of what covers them is general material, of which no object is counted.

    Returns:
        The annotation file, `amodal_coco`.

    Raises:
        InvalidInputError: nothing of what was kept back can be used.
    """
    file = folder / ANNOTATIONS
    if file.is_file():
        return file
    with whole_folder(folder) as unfinished:
        (unfinished / "images").mkdir()
        writer = AmodalCocoWriter({"description": "objects kept back"}, [_CATEGORY])
        count = 0
        for sample in _composites(settings, material, wanted):
            name = f"images/{count:03d}.png"
            Image.fromarray(sample.image).save(unfinished / name)
            hw = (sample.amodal.shape[0], sample.amodal.shape[1])
            picture = writer.add_image(name, hw)
            writer.add_object(picture, _CATEGORY, sample.amodal, sample.visible)
            count += 1
        if not count:
            raise InvalidInputError(
                f"of the objects kept back none can be used ({', '.join(material.own)}): expected "
                "whole objects of at least 2 % of their picture"
            )
        writer.write(unfinished / ANNOTATIONS)
    return file


def _composites(settings: FinetuneSettings, material: Material, wanted: int) -> list[TaosSample]:
    both = [*material.own, *material.general]
    own_share = len(material.own) / max(len(material.general), 1)
    values = material.taos("held", settings.keep_back)
    config = TaosConfig(seed=0, **values)  # type: ignore[arg-type]
    taos = TaosDataset(
        config,
        both,
        (settings.seed + 1) * _SEED * OBJECTS * _DRAWS,
        cache=material.cache,
        weights=[1.0] * len(material.own) + [own_share] * len(material.general),
        skip_bad=True,
    )
    first = settings.seed * _SEED * OBJECTS * _DRAWS
    found: list[TaosSample] = []
    for number in range(wanted * _DRAWS):
        sample = taos[first + number]
        if not isinstance(sample, TaosSample):
            raise TypeError(f"expected a still, got {type(sample).__name__}")
        if sample.provenance["target"]["source"] in material.own:
            found.append(sample)
        if len(found) == wanted:
            break
    return found
