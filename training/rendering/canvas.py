# SPDX-License-Identifier: Apache-2.0
"""A compiled MuJoCo model drawn off screen: colours, geom numbers, depths, normals."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.rendering.camera import Camera
from training.rendering.mujoco_beside_torch import mujoco

Image = NDArray[np.uint8]
Float = NDArray[np.float32]


@functools.cache
def current_context() -> Any:
    """The process's graphics context, made once; models bring their own picture buffers."""
    context = mujoco.GLContext(64, 64)
    context.make_current()
    atexit.register(context.free)
    return context


class Canvas:
    """Draws one model; holds its graphics memory until closed."""

    def __init__(
        self, model: Any, data: Any, option: Any = None, lights_of_model: bool = False
    ) -> None:
        """Load a model into graphics memory; a GL context must be current.

        Args:
            model: MjModel; no picture may be larger than its off-screen buffer.
            data: MjData with the positions to draw; see `update`.
            option: MjvOption: which geoms are drawn; MuJoCo's default.
            lights_of_model: draw colours under the model's lights, with shadows.
        """
        self._model, self._data, self._option = model, data, option or mujoco.MjvOption()
        self._lit = lights_of_model
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self.scene = mujoco.MjvScene(model, max(model.ngeom + 16, 1000))
        if not lights_of_model:
            self.switch_off("SHADOW", "REFLECTION", "SKYBOX")
        self._resize((int(model.vis.global_.offheight), int(model.vis.global_.offwidth)))
        self.update(mujoco.MjvCamera())

    def update(self, camera: Any) -> None:
        """Take over the present positions, lights and an MjvCamera."""
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(
            self._model, self._data, self._option, None, camera, everything, self.scene
        )
        if not self._lit:
            self.scene.nlight = 0
        geoms = [self.scene.geoms[k] for k in range(self.scene.ngeom)]
        self.geoms = [(geom, int(geom.objid), int(geom.type)) for geom in geoms]
        self._segment_to_geom = np.full(self.scene.ngeom + 1, -1)
        kind = int(mujoco.mjtObj.mjOBJ_GEOM)
        for geom, number, _ in self.geoms:
            self._segment_to_geom[geom.segid + 1] = number if geom.objtype == kind else -1

    def switch_off(self, *names: str) -> None:
        """Turn rendering flags off for good, for example ``"SHADOW"``."""
        for name in names:
            self.scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{name}")] = 0

    def _resize(self, hw: tuple[int, int]) -> None:
        self.hw = hw
        self._rect = mujoco.MjrRect(0, 0, hw[1], hw[0])
        self._pixels = np.empty((*hw, 3), np.uint8)
        self._depth = np.empty(hw, np.float32)

    def close(self) -> None:
        """Free the graphics memory."""
        self._context.free()

    def aim(self, camera: Camera, hw: tuple[int, int]) -> None:
        """Look through a camera; pictures have `hw` pixels (height, width) from now on."""
        self._resize(hw)
        half = camera.fovy / 2
        if not camera.orthographic:
            half = camera.near * np.tan(np.radians(half))
        for eye in self.scene.camera:
            eye.pos[:], eye.forward[:], eye.up[:] = camera.eye, camera.forward, camera.up
            eye.orthographic = int(camera.orthographic)
            eye.frustum_center, eye.frustum_width = 0.0, half * hw[1] / hw[0]
            eye.frustum_bottom, eye.frustum_top = -half, half
            eye.frustum_near, eye.frustum_far = camera.near, camera.far

    @contextmanager
    def only(self, wanted: NDArray[np.bool_]) -> Iterator[None]:
        """Draw only the geoms that are wanted, (G,)."""
        nothing = int(mujoco.mjtGeom.mjGEOM_NONE)
        before = [geom.type for geom, _, _ in self.geoms]
        for geom, number, _ in self.geoms:
            if not wanted[number]:
                geom.type = nothing
        try:
            yield
        finally:
            for (geom, _, _), kind in zip(self.geoms, before, strict=True):
                geom.type = kind

    def colours(self) -> Image:
        """(H, W, 3) uint8 RGB under the scene's lights; valid until the next drawing."""
        mujoco.mjr_render(self._rect, self.scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._rect, self._context)
        return self._pixels[::-1]

    def geom_numbers(self) -> NDArray[np.int64]:
        """(H, W) number of the geom at each pixel's centre, -1 where there is none."""
        with self._flags("SEGMENT", "IDCOLOR"):
            pixels = self.colours().astype(np.int32)
        return self._segment_to_geom[pixels[..., 0] + (pixels[..., 1] << 8)]

    def silhouette(self) -> NDArray[np.bool_]:
        """(H, W) where anything is drawn; a scene has fewer than 65,536 geoms."""
        with self._flags("SEGMENT", "IDCOLOR"):
            pixels = self.colours()
        return (pixels[..., 0] | pixels[..., 1]) > 0

    def depth(self) -> Float:
        """(H, W) metres along the optical axis of what the last drawing showed; far: nothing."""
        mujoco.mjr_readPixels(None, self._depth, self._rect, self._context)
        share, eye = self._depth[::-1], self.scene.camera[0]
        near, far = float(eye.frustum_near), float(eye.frustum_far)
        if eye.orthographic:
            return np.float32(far) + share * np.float32(near - far)
        return np.float32(1) / (share * np.float32(1 / near - 1 / far) + np.float32(1 / far))

    def albedo(self) -> Image:
        """(H, W, 3) uint8 RGB of materials and textures without light; nothing is black."""
        with self._lights([((0.0, 0.0, -1.0), (0.0, 0.0, 0.0), 1.0)]):
            return self.colours().copy()

    def normals(self) -> Float:
        """(H, W, 3) unit vectors, smooth over smooth surfaces; about zero where nothing is.

        Each of three lights, one for each axis and colour, gives max(0, n). The graphics card
        interpolates these between corners, so that the difference of the pictures from the one
        and the other side is the interpolated normal.
        """
        total = np.zeros((*self.hw, 3), np.float32)
        with self._white():
            for sign in (1, -1):
                axes = np.eye(3)
                with self._lights([(-sign * axis, axis, 0.0) for axis in axes]):
                    total += np.float32(sign) * self.colours()
        length = np.sqrt(np.einsum("hwc,hwc->hw", total, total))[..., None]
        return total / np.maximum(length, 1.0)

    @contextmanager
    def _flags(self, *names: str) -> Iterator[None]:
        for name in names:
            self.scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{name}")] = 1
        try:
            yield
        finally:
            for name in names:
                self.scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{name}")] = 0

    @contextmanager
    def _lights(self, lights: list[tuple[Any, Any, float]]) -> Iterator[None]:
        """Directional lights: direction, colour, and ambient strength."""
        self.scene.nlight = len(lights)
        for light, (direction, colour, ambient) in zip(self.scene.lights, lights, strict=False):
            light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
            light.headlight = light.castshadow = 0
            light.pos[:] = -10 * np.asarray(direction)
            light.dir[:], light.diffuse[:], light.ambient[:] = direction, colour, ambient
            light.specular[:] = 0
        try:
            yield
        finally:
            self.scene.nlight = 0

    @contextmanager
    def _white(self) -> Iterator[None]:
        """Materials that reflect all light evenly, without textures."""
        before = [(geom.matid, geom.rgba.copy(), geom.emission) for geom, _, _ in self.geoms]
        for geom, _, _ in self.geoms:
            geom.matid, geom.emission = -1, 0.0
            geom.rgba[:] = 1
        try:
            yield
        finally:
            for (geom, _, _), (material, rgba, emission) in zip(self.geoms, before, strict=True):
                geom.matid, geom.emission = material, emission
                geom.rgba[:] = rgba
