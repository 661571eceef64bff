# SPDX-License-Identifier: Apache-2.0
"""One scene from its seed alone: things, stage, several views, and what is annotated in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.scenes.dressing import Wardrobe
from training.scenes.effects import camera_effects
from training.scenes.painter import Painter
from training.scenes.placement import Placed, arrange
from training.scenes.stage import build_stage
from training.scenes.surfaces import Surfaces
from training.scenes.views import draw_views

Rng = np.random.Generator
Mask = NDArray[np.bool_]

THINGS = (5, 14)
MIN_VISIBLE_PX = 200
MIN_VISIBLE_SHARE = 0.15
MIN_HIDDEN_PX = 10  # fewer are the outline's rasterisation, not an occlusion


@dataclass(frozen=True, eq=False)
class Picture:
    """A view of a scene.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        objects: category, amodal and visible mask (H, W) bool of each annotated thing.
    """

    image: NDArray[np.uint8]
    objects: Sequence[tuple[str, Mask, Mask]]


def render_scene(
    rng: Rng, wardrobe: Wardrobe, surfaces: Surfaces, views: int
) -> Iterator[Picture]:
    """Build a scene and look at it from several sides; a GL context must be current."""
    count = int(rng.integers(THINGS[0], THINGS[1] + 1))
    placed = arrange([wardrobe.draw(rng) for _ in range(count)], rng)
    cameras = draw_views(placed, views, rng)
    painter = Painter(*build_stage(placed, cameras, surfaces, rng), len(placed))
    try:
        for view in cameras:
            visible, amodal = painter.masks(view)
            image = camera_effects(painter.colour(view, rng), rng)
            yield Picture(image, _annotated(placed, visible, amodal))
    finally:
        painter.close()


def _annotated(
    placed: Sequence[Placed], visible: Mask, amodal: Mask
) -> list[tuple[str, Mask, Mask]]:
    """Things wholly in the picture of which enough is seen."""
    kept = []
    for item, seen, whole in zip(placed, visible, amodal, strict=True):
        size, shown = np.count_nonzero(whole), np.count_nonzero(seen)
        cut = whole[0].any() or whole[-1].any() or whole[:, 0].any() or whole[:, -1].any()
        if cut or shown < MIN_VISIBLE_PX or shown < MIN_VISIBLE_SHARE * size:
            continue
        kept.append((item.thing.category, seen if size - shown < MIN_HIDDEN_PX else whole, seen))
    return kept
