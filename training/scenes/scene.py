# SPDX-License-Identifier: Apache-2.0
"""One scene from its seed alone: props, stage, several views, and what is annotated in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.rendering.environment import Lights
from training.scenes.dressing import PropMaker
from training.scenes.occluders import draw_occluders
from training.scenes.painter import Painter
from training.scenes.placement import Placed, arrange
from training.scenes.settling import settle
from training.scenes.stage import build_stage
from training.scenes.surfaces import Surfaces
from training.scenes.views import HW, View, camera_effects, draw_views

Rng = np.random.Generator
Mask = NDArray[np.bool_]

PROPS = (3, 14)
MIN_SIDE_PX = 12
MIN_VISIBLE_PX = 40
MIN_VISIBLE_SHARE = 0.15
MIN_INSIDE = 0.6
"""Share of an object's corners inside the picture; the masks of one that is cut end there."""
MIN_HIDDEN_PX = 10  # fewer are the outline's rasterisation, not an occlusion
_FALLING = 0.35
_BACKDROP = 0.5


@dataclass(frozen=True, eq=False)
class Picture:
    """A view of a scene.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        objects: category, amodal and visible mask (H, W) bool of each annotated prop.
    """

    image: NDArray[np.uint8]
    objects: Sequence[tuple[str, Mask, Mask]]


def render_scene(
    rng: Rng, maker: PropMaker, surfaces: Surfaces, lights: Lights, views: int
) -> Iterator[Picture]:
    """Build a scene and look at it from several sides; a GL context must be current."""
    placed = _placed(maker, rng)
    cameras = draw_views(placed, views, rng)
    occluders = draw_occluders(placed, surfaces, rng)
    stage = build_stage(placed, occluders, cameras, surfaces, rng)
    environment = lights.draw(stage.ground, rng)
    photo = surfaces.backdrop(rng) if rng.random() < _BACKDROP else None
    painter = Painter(stage, environment, len(placed), rng)
    try:
        for view in cameras:
            visible, amodal = painter.masks(view)
            image = camera_effects(painter.colour(view, photo, rng), rng)
            yield Picture(image, annotated(placed, view, visible, amodal))
    finally:
        painter.close()


def _placed(maker: PropMaker, rng: Rng) -> list[Placed]:
    """Props side by side, or fallen onto one another."""
    count = int(rng.integers(PROPS[0], PROPS[1] + 1))
    props = maker.draw(rng, count)
    fallen = settle(props, rng) if rng.random() < _FALLING else []
    return fallen if len(fallen) >= PROPS[0] else arrange(props, rng)


def annotated(
    placed: Sequence[Placed], view: View, visible: Mask, amodal: Mask
) -> list[tuple[str, Mask, Mask]]:
    """Props of which enough is in the picture and enough of that is seen."""
    kept = []
    for item, seen, whole in zip(placed, visible, amodal, strict=True):
        size, shown = np.count_nonzero(whole), np.count_nonzero(seen)
        if shown < MIN_VISIBLE_PX or shown < MIN_VISIBLE_SHARE * size:
            continue
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        if max(np.ptp(rows), np.ptp(columns)) + 1 < MIN_SIDE_PX:
            continue
        cut = whole[0].any() or whole[-1].any() or whole[:, 0].any() or whole[:, -1].any()
        if cut and _inside(item, view) < MIN_INSIDE:
            continue
        kept.append((item.prop.category, seen if size - shown < MIN_HIDDEN_PX else whole, seen))
    return kept


def _inside(item: Placed, view: View) -> float:
    """Share of an object's corners that the picture holds."""
    camera = view.camera()
    away = item.prop.points() @ item.rotation.T + item.position - camera.eye
    half = np.tan(np.radians(camera.fovy / 2)) * (away @ camera.forward)
    high = np.abs(away @ camera.up) < half
    wide = np.abs(away @ camera.right) < half * HW[1] / HW[0]
    return float(np.mean(high & wide))
