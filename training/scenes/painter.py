# SPDX-License-Identifier: Apache-2.0
"""Pictures of a stage with every thing's visible and amodal mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from training.scenes.stage import HW, LIGHTS
from training.scenes.views import View

Rng = np.random.Generator
Mask = NDArray[np.bool_]

SAMPLES = 4
_SHIFTS = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
"""Of the picture elements' sampling points, in pixels: a rotated grid."""


class Painter:
    """Draws one stage; holds its graphics memory until closed."""

    def __init__(self, model: Any, owner: NDArray[np.int64], count: int) -> None:
        """Load a stage into graphics memory; a GL context must be current.

        Args:
            model: MjModel.
            owner: (G,) thing of each geom, -1 for none.
            count: number of things.
        """
        self._model, self._owner, self._count = model, owner, count
        self._data = mujoco.MjData(model)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, model.ngeom + 16)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = 0
        self._rect = mujoco.MjrRect(0, 0, HW[1], HW[0])
        self._pixels = np.empty((*HW, 3), np.uint8)

    def close(self) -> None:
        """Free the graphics memory."""
        self._context.free()

    def colour(self, view: View, rng: Rng) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB: the mean of renders whose lights and pixels move a little."""
        lights = _Lights.draw(rng)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = int(lights.shadow)
        self._set_flags(segment=False)
        total = np.zeros((*HW, 3), np.uint16)
        for shift in _SHIFTS:
            lights.apply(self._model, rng)
            self._look(view, shift)
            total += self._draw()
        return ((total + SAMPLES // 2) // SAMPLES).astype(np.uint8)

    def masks(self, view: View) -> tuple[Mask, Mask]:
        """Visible and amodal masks, (N, H, W) bool each; every visible pixel is amodal too."""
        self._set_flags(segment=True)
        self._look(view, (0.0, 0.0))
        seen = self._owners()
        visible = seen[None] == np.arange(self._count)[:, None, None]
        geoms = [self._scene.geoms[k] for k in range(self._scene.ngeom)]
        kinds = [geom.type for geom in geoms]
        belongs = [int(self._owner[geom.objid]) for geom in geoms]
        nothing = int(mujoco.mjtGeom.mjGEOM_NONE)
        amodal = np.empty_like(visible)
        for number in range(self._count):
            for geom, kind, thing in zip(geoms, kinds, belongs, strict=True):
                geom.type = kind if thing == number else nothing
            pixels = self._draw()
            amodal[number] = (pixels[..., 0] | pixels[..., 1]) > 0  # no scene has 65536 parts
        return visible, amodal | visible

    def _owners(self) -> NDArray[np.int64]:
        """(H, W) thing of each pixel, -1 for none."""
        pixels = self._draw().astype(np.int32)
        number = pixels[..., 0] + (pixels[..., 1] << 8)
        table = np.full(self._scene.ngeom + 1, -1)
        for k in range(self._scene.ngeom):
            geom = self._scene.geoms[k]
            table[geom.segid + 1] = self._owner[geom.objid]
        return table[number]

    def _set_flags(self, segment: bool) -> None:
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = int(segment)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = int(segment)

    def _look(self, view: View, shift: tuple[float, float]) -> None:
        """Point the camera, its sampling points shifted by a part of a pixel."""
        model, data = self._model, self._data
        model.vis.global_.fovy = view.fovy
        camera = mujoco.MjvCamera()
        camera.lookat[:] = view.lookat
        camera.distance, camera.azimuth = view.distance, view.azimuth
        camera.elevation = view.elevation
        mujoco.mj_forward(model, data)
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(
            model, data, mujoco.MjvOption(), None, camera, everything, self._scene
        )
        for eye in self._scene.camera:
            pixel = (eye.frustum_top - eye.frustum_bottom) / HW[0]
            eye.frustum_center += shift[0] * pixel
            eye.frustum_bottom += shift[1] * pixel
            eye.frustum_top += shift[1] * pixel
            forward, up = np.array(eye.forward), np.array(eye.up)
            angle = np.radians(view.roll)
            eye.up[:] = np.cos(angle) * up + np.sin(angle) * np.cross(forward, up)

    def _draw(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, the first row on top; valid until the next call."""
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._rect, self._context)
        return self._pixels[::-1]


@dataclass
class _Lights:
    """A main light, which may cast shadows, two weaker ones, and light from everywhere."""

    towards: NDArray[np.float64]
    strength: NDArray[np.float64]
    spread: float
    ambient: float
    shadow: bool

    @staticmethod
    def draw(rng: Rng) -> _Lights:
        towards = rng.normal(size=(LIGHTS, 3))
        towards[:, 2] = np.abs(towards[:, 2]) + rng.uniform(0.5, 1.8)
        power = np.array([rng.uniform(0.3, 0.75), rng.uniform(0, 0.4), rng.uniform(0, 0.3)])
        warmth = rng.normal(0, 0.06, (LIGHTS, 1)) * (1, 0, -1)
        return _Lights(
            towards=towards / np.linalg.norm(towards, axis=1, keepdims=True),
            strength=power[:, None] * (1 + warmth),
            spread=rng.choice([0.005, rng.uniform(0.01, 0.1)]),
            ambient=rng.uniform(0.2, 0.5),
            shadow=bool(rng.random() < 0.85),
        )

    def apply(self, model: Any, rng: Rng) -> None:
        """Set a model's lights, each moved a little within its size."""
        for number in range(LIGHTS):
            towards = self.towards[number] + rng.normal(0, self.spread, 3)
            towards /= np.linalg.norm(towards)
            model.light_pos[number] = 2.0 * towards
            model.light_dir[number] = -towards
            model.light_diffuse[number] = np.clip(self.strength[number], 0, 1)
            model.light_specular[number] = 0.5 * self.strength[number].clip(0, 1)
            model.light_ambient[number] = 0.0
        model.vis.headlight.ambient[:] = self.ambient
        model.vis.headlight.diffuse[:] = 0.08
        model.vis.headlight.specular[:] = 0.0
