# SPDX-License-Identifier: Apache-2.0
"""Pictures of a stage with every prop's visible and amodal mask."""

from __future__ import annotations

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from training.rendering.canvas import Canvas
from training.rendering.environment import Environment
from training.rendering.shading import Light, add_glass, shade, take_buffers
from training.scenes.stage import FINE, Stage
from training.scenes.views import HW, View

Rng = np.random.Generator
Mask = NDArray[np.bool_]

_COARSE = 0.15  # of the pictures are drawn as they are written: no smooth outlines


class Painter:
    """Draws one stage under one light; holds its graphics memory until closed."""

    def __init__(self, stage: Stage, environment: Environment, count: int, rng: Rng) -> None:
        """Load a stage into graphics memory; a GL context must be current.

        Args:
            stage: the scene.
            environment: its light.
            count: number of props.
            rng: for the hardness of shadows.
        """
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
