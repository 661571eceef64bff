# SPDX-License-Identifier: Apache-2.0
"""One scene from its seed alone: props, stage, pictures of several views, and their masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.rendering.canvas import Canvas
from training.rendering.environment import Environment, Lights
from training.rendering.mujoco_beside_torch import mujoco
from training.rendering.shading import Light, add_glass, shade, take_buffers
from training.scenes.dressing import PropMaker
from training.scenes.meshes import Rng
from training.scenes.occluders import draw_occluders
from training.scenes.placement import Placed, arrange
from training.scenes.settling import settle
from training.scenes.stage import FINE, Stage, build_stage
from training.scenes.surfaces import Surfaces
from training.scenes.views import HW, View, camera_effects, draw_views

Mask = NDArray[np.bool_]

_COARSE = 0.15  # of the pictures are drawn as they are written: no smooth outlines


class Painter:
    """Draws one stage under one light; holds its graphics memory until closed."""

    def __init__(self, stage: Stage, environment: Environment, count: int, rng: Rng) -> None:
        """Load a stage into graphics memory; a GL context must be current."""
        data = mujoco.MjData(stage.model)
        mujoco.mj_forward(stage.model, data)
        self._stage, self._count = stage, count
        self._canvas = Canvas(stage.model, data)
        owned = stage.casters & (stage.reflection.clear == 0)
        self._glass = bool((stage.reflection.clear > 0).any())
        softness = float(rng.choice([0.0005, rng.uniform(0.001, 0.02)]))
        self._light = Light(self._canvas, environment, owned, stage.points, softness)

    def close(self) -> None:
        """Free the graphics memory."""
        self._canvas.close()

    def colour(self, view: View, photo: NDArray[np.uint8] | None, rng: Rng) -> NDArray[np.float32]:
        """(H, W, 3) linear RGB; behind everything is a photo, or the environment."""
        fine = 1.0 if rng.random() < _COARSE else FINE
        hw = (round(HW[0] * fine), round(HW[1] * fine))
        canvas, reflection = self._canvas, self._stage.reflection
        camera = view.camera()
        with canvas.only(reflection.clear == 0):
            opaque = take_buffers(canvas, camera, hw)
        if photo is None:
            backdrop = self._light.environment.towards(_unit(camera.rays(hw)))
        else:
            scaled = cv2.resize(photo, hw[::-1], interpolation=cv2.INTER_LINEAR)
            backdrop = (scaled.astype(np.float32) / np.float32(255)) ** np.float32(2.2)
        picture = shade(opaque, camera, reflection, self._light, backdrop, rng)
        if self._glass:
            with canvas.only(reflection.clear > 0):
                glass = take_buffers(canvas, camera, hw)
            picture = add_glass(
                picture, opaque, glass, camera, reflection, self._light.environment
            )
        return cv2.resize(picture, HW[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)

    def masks(self, view: View) -> tuple[Mask, Mask]:
        """Visible and amodal masks, (N, H, W) bool each; every visible pixel is amodal too."""
        canvas, owner = self._canvas, self._stage.owner
        canvas.aim(view.camera(), HW)
        seen = np.append(owner, -1)[canvas.geom_numbers()]
        visible = seen[None] == np.arange(self._count)[:, None, None]
        amodal = np.empty_like(visible)
        for number in range(self._count):
            with canvas.only(owner == number):
                amodal[number] = canvas.silhouette()
        return visible, amodal | visible


def _unit(rays: NDArray[np.float32]) -> NDArray[np.float32]:
    return rays / np.sqrt(np.einsum("hwc,hwc->hw", rays, rays))[..., None]


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
