# SPDX-License-Identifier: Apache-2.0
"""Pictures and exact masks of a MuJoCo scene: soft light by averaging many shadowed renders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.errors import BackendError
from benchmarks.rendering.stage import SceneObject, Slab, Vector, build_stage


@dataclass(frozen=True)
class Lighting:
    """A window-like key light and a sky dome; each sample of a picture sees other directions.

    Attributes:
        key_direction: From the scene towards the light.
        key_spread: Radius of the key light as seen from the scene, radians.
        key_rgb: Its colour and strength.
        sky_rgb: Colour and strength of the dome.
        ambient: Light that reaches everything.
    """

    key_direction: Vector = (-0.55, -0.6, 1.0)
    key_spread: float = 0.16
    key_rgb: Vector = (0.84, 0.79, 0.70)
    sky_rgb: Vector = (0.66, 0.70, 0.77)
    ambient: float = 0.20


class SceneRenderer:
    """Renders one scene from one moving camera at a fixed size.

    Raises:
        BackendError: MuJoCo (or its OSMesa library) is not there, or refuses the scene.
    """

    def __init__(
        self,
        objects: Sequence[SceneObject],
        slabs: Sequence[Slab],
        hw: tuple[int, int],
        vertical_fov: float,
        lighting: Lighting,
    ) -> None:
        os.environ.setdefault("MUJOCO_GL", "osmesa")  # read when mujoco is first imported
        try:
            from training.rendering.canvas import Canvas, current_context
            from training.rendering.mujoco_beside_torch import mujoco

            current_context()
        # AttributeError: libOSMesa is missing.
        except (ImportError, AttributeError, RuntimeError) as error:
            raise BackendError(
                f"MuJoCo cannot be loaded or cannot draw ({error}); install it with `pip install "
                "mujoco` and, to draw without a screen, `apt install libosmesa6`"
            ) from error
        self._mujoco = mujoco
        try:
            self.model = build_stage(objects, slabs, max_hw=hw, vertical_fov=vertical_fov)
        except ValueError as error:
            raise BackendError(f"MuJoCo refuses the scene: {error}") from error
        self.data = mujoco.MjData(self.model)
        self._hw = hw
        self._lighting = lighting
        bodies = [self.model.body(item.name) for item in objects]
        self._mocap_ids = {body.name: int(body.mocapid[0]) for body in bodies}
        self._object_of_geom = np.full(self.model.ngeom + 1, -1)
        for index, body in enumerate(bodies):
            self._object_of_geom[:-1][self.model.geom_bodyid == body.id] = index
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = 0
        self._canvas = Canvas(self.model, self.data, lights_of_model=True)

    def close(self) -> None:
        """Frees the render context."""
        self._canvas.close()

    def place(self, name: str, position: Vector, rotation: np.ndarray) -> None:
        """Moves an object: `position` in metres, `rotation` (3, 3)."""
        mocap = self._mocap_ids[name]
        self.data.mocap_pos[mocap] = position
        self._mujoco.mju_mat2Quat(
            self.data.mocap_quat[mocap], np.ascontiguousarray(rotation, np.float64).ravel()
        )

    def look(self, eye: Vector, target: Vector) -> None:
        """Puts the camera at `eye`, upright, with `target` in the middle of the picture."""
        backward = np.subtract(eye, target)
        backward = backward / np.linalg.norm(backward)
        right = np.cross((0.0, 0.0, 1.0), backward)
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(backward, right), backward], axis=1)
        self.model.cam_pos[0] = eye
        self._set_axes(axes)

    def colour(self, samples: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the mean over `samples` light directions and sub-pixel shifts."""
        axes = self._axes.copy()
        total = np.zeros((*self._hw, 3), dtype=np.float64)
        for first, second, third, fourth in low_discrepancy(samples, 4):
            self._set_lights(first, second, third, fourth)
            self._set_axes(self._shifted(axes, first - 0.5, third - 0.5))
            self._update()
            total += self._canvas.colours()
        self._set_axes(axes)
        return np.rint(total / samples).astype(np.uint8)

    def visible_masks(self) -> np.ndarray:
        """(N, H, W) bool: what the camera sees of each object."""
        self._update()
        shown = self._object_of_geom[self._canvas.geom_numbers()]
        return np.stack([shown == index for index in range(len(self._mocap_ids))])

    def amodal_masks(self) -> np.ndarray:
        """(N, H, W) bool: each object with everything else taken away, cut at the border only."""
        self._update()
        masks = []
        for index in range(len(self._mocap_ids)):
            with self._canvas.only(self._object_of_geom[:-1] == index):
                masks.append(self._canvas.silhouette())
        return np.stack(masks)

    def _update(self) -> None:
        self._mujoco.mj_forward(self.model, self.data)
        self._canvas.update(self._camera)

    def _set_axes(self, axes: np.ndarray) -> None:
        self._axes = axes
        self._mujoco.mju_mat2Quat(self.model.cam_quat[0], np.ascontiguousarray(axes).ravel())

    def _shifted(self, axes: np.ndarray, x: float, y: float) -> np.ndarray:
        """Camera axes turned so that the picture moves by (x, y) pixels of the final size."""
        half = np.tan(np.radians(self.model.cam_fovy[0]) / 2)
        angle = 2 * half / self._hw[0]
        right, up, backward = axes.T
        backward = backward + angle * (x * right + y * up)
        backward = backward / np.linalg.norm(backward)
        right = np.cross(up, backward)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(backward, right), backward], axis=1)

    def _set_lights(self, first: float, second: float, third: float, fourth: float) -> None:
        light = self._lighting
        towards = np.array(light.key_direction) / np.linalg.norm(light.key_direction)
        side = np.cross(towards, (0.0, 0.0, 1.0))
        side /= np.linalg.norm(side)
        radius, angle = light.key_spread * np.sqrt(first), 2 * np.pi * second
        offset = np.cos(angle) * side + np.sin(angle) * np.cross(towards, side)
        self._set_light(0, towards + radius * offset, light.key_rgb, 0.25)
        height, angle = np.sqrt(1 - 0.96 * third), 2 * np.pi * fourth  # cosine-weighted dome
        flat = np.sqrt(1 - height**2)
        # The wall is behind, at +y: light comes from the room.
        dome = np.array([flat * np.cos(angle), flat * np.sin(angle) - 0.8, height])
        self._set_light(1, dome, light.sky_rgb, 0.0)

    def _set_light(self, index: int, towards: np.ndarray, rgb: Vector, specular: float) -> None:
        towards = towards / np.linalg.norm(towards)
        self.model.light_pos[index] = towards * 3.0 + self.model.stat.center
        self.model.light_dir[index] = -towards
        self.model.light_diffuse[index] = rgb
        self.model.light_ambient[index] = self._lighting.ambient / 2
        self.model.light_specular[index] = specular


def low_discrepancy(count: int, dimensions: int) -> np.ndarray:
    """(count, dimensions) float64 in [0, 1): evenly spread points (Roberts' R sequence)."""
    root = 2.0
    for _ in range(40):
        root = (1.0 + root) ** (1.0 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    return (0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0
