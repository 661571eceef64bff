# SPDX-License-Identifier: Apache-2.0
"""What is learnt from: the user's objects, and general material so that the rest is not forgotten.

The general material is made of what packages install, so that every user has the same: stamps
become composites, and `training.scenes` renders tables with furniture models and the things of its
own makers.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from training.finetune.settings import FinetuneSettings
from training.rendering.sh3f import DEBIAN_FOLDER
from training.taos.config import TaosConfig
from training.taos.prefill import prefill_renders
from training.taos.sources import PhotoSource, open_source
from training.taos.sources.render import RenderSource
from training.worker_processes import run_command

logger = logging.getLogger(__name__)

STAMPS = Path("/usr/share/tuxpaint/stamps")
VIEWS, VIEW_SIZE = 6, 320
_VIEWS_WANTED = 60  # of all own 3D models together: few models are seen from more sides
_MOST_VIEWS = 20
_SCENES_OF_CHUNK = 10


@dataclass(frozen=True)
class Material:
    """Opened and counted.

    Attributes:
        own: the user's, KIND:PATH.
        photos: those of them that are photos with outlines.
        general: other material, likewise.
        scenes: folder of rendered scenes; None: none.
        views: pictures of each own 3D model.
        counts: of each own source, how many objects or photos are learnt from, and kept back.
        cache: folder of rendered views and self-made masks.
    """

    own: tuple[str, ...]
    photos: tuple[str, ...]
    general: tuple[str, ...]
    scenes: Path | None
    views: int
    counts: dict[str, tuple[int, int]]
    cache: Path

    def taos(self, part: str, held_share: float) -> dict[str, object]:
        """Settings of composites of a part of the material."""
        return {
            "part": part,
            "held_share": held_share,
            "unoccluded_share": 0.25,
            "touching_share": 0.25,
            "render_views": self.views,
            "render_size": VIEW_SIZE,
        }


def open_material(settings: FinetuneSettings) -> Material:
    """Open every source, and render the views of 3D models.

    Raises:
        InvalidInputError: a source cannot be used, or nothing general is there.
        CorruptRecordError: a source's file is unusable.
    """
    cache = settings.out / "cache"
    general = settings.general or _installed()
    scenes = settings.out / "scenes" if settings.general_scenes else None
    if not general and scenes is None:
        raise InvalidInputError(
            "expected something general to learn from beside your objects, found none: "
            "apt install tuxpaint-stamps-default sweethome3d-furniture, or --general KIND:PATH"
        )
    if scenes is not None and not DEBIAN_FOLDER.is_dir():
        raise InvalidInputError(
            f"rendered scenes need {DEBIAN_FOLDER}: apt install sweethome3d-furniture, or "
            "--general-scenes 0 to learn without them"
        )
    views = _views(settings, cache)
    counts, photos = {}, []
    for spec in settings.source:
        sizes = []
        for part in ("train", "held"):
            config = TaosConfig(part=part, held_share=settings.keep_back, render_views=views)
            source = open_source(spec, config, cache)
            sizes.append(len({source.group(key) for key in source.pool(0)}))
        counts[spec] = (sizes[0], sizes[1])
        if isinstance(source, PhotoSource):
            photos.append(spec)
    material = Material(settings.source, tuple(photos), general, scenes, views, counts, cache)
    for spec in general:
        open_source(spec, TaosConfig(), cache)
    rendered = TaosConfig(seed=0, render_views=views, render_size=VIEW_SIZE)
    prefill_renders([*material.own, *general], rendered, cache)
    for spec in material.own:
        _check_models(spec, rendered, cache)
    return material


def render_scenes(settings: FinetuneSettings, material: Material) -> None:
    """Render the scenes, as far as they are not there; MuJoCo draws in processes of its own.

    Raises:
        InvalidInputError: the command failed; its message is on standard error.
    """
    if material.scenes is None:
        return
    run_command(
        "training.scenes",
        *("--models", str(DEBIAN_FOLDER), "--count", str(settings.general_scenes)),
        *("--chunk-scenes", str(min(_SCENES_OF_CHUNK, settings.general_scenes))),
        *("--seed", str(settings.seed), "--preview", "0", "--out", str(material.scenes)),
        *("--cache", str(material.cache / "models")),
    )


def _check_models(spec: str, config: TaosConfig, cache: Path) -> None:
    """Say which 3D models of a source are of no use, and why.

    Raises:
        InvalidInputError: none is of any.
    """
    source = open_source(spec, config, cache)
    if not isinstance(source, RenderSource):
        return
    reasons = source.refused()
    for name, reason in reasons.items():
        logger.warning("%s: %s is left out: %s", spec, name, reason)
    if len(reasons) * config.render_views == len(source.pool(0)):
        raise InvalidInputError(f"source {spec}: no model can be used, see above")


def _installed() -> tuple[str, ...]:
    return (f"cutouts:{STAMPS}",) if STAMPS.is_dir() else ()


def _views(settings: FinetuneSettings, cache: Path) -> int:
    """More views of each model where there are few."""
    models = 0
    for spec in settings.source:
        if spec.startswith("render:"):
            source = open_source(spec, TaosConfig(render_views=1), cache)
            models += len(source.pool(0))
    return min(max(VIEWS, _VIEWS_WANTED // models), _MOST_VIEWS) if models else VIEWS
