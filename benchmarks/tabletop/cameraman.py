# SPDX-License-Identifier: Apache-2.0
"""Pictures of a stage with the masks that belong to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from benchmarks.tabletop.stage import ROOM_GROUP, VISUAL_GROUP, Stage
from benchmarks.tabletop.standing import Standing
from training.rendering.canvas import Canvas, current_context
from training.rendering.mujoco_beside_torch import mujoco

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class View:
    """A camera position, in MuJoCo's free-camera terms.

    Attributes:
        lookat: point in the middle of the picture, metres.
        distance: from it, metres.
        azimuth: degrees.
        elevation: degrees; negative looks down.
        fovy: vertical field of view, degrees.
    """

    lookat: tuple[float, float, float]
    distance: float
    azimuth: float
    elevation: float
    fovy: float


@dataclass(frozen=True, eq=False)
class Picture:
    """One rendered frame.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        visible: (N, H, W) bool, what is seen of each object.
        amodal: (N, H, W) bool, the same camera with everything else hidden; up to the border.
        depth_m: (H, W) float32 along the optical axis, metres.
        camera: intrinsics.
        world_from_camera: of the optical frame.
    """

    image: NDArray[np.uint8]
    visible: NDArray[np.bool_]
    amodal: NDArray[np.bool_]
    depth_m: NDArray[np.float32]
    camera: PinholeCamera
    world_from_camera: RigidTransform


class Cameraman:
    """Renders a stage; holds the graphics context, so close it (or use ``with``)."""

    def __init__(self, stage: Stage, hw: tuple[int, int]) -> None:
        self._stage = stage
        options = mujoco.MjvOption()
        options.geomgroup[:] = 0
        options.geomgroup[[VISUAL_GROUP, ROOM_GROUP]] = 1
        current_context()
        self._canvas = Canvas(stage.model, stage.data, options, lights_of_model=True)
        self._owner = np.append(stage.geom_owners(), -1)
        self._standing = Standing(stage)

    def __enter__(self) -> Cameraman:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the graphics context."""
        self._canvas.close()

    def shoot(self, view: View) -> Picture:
        """Render the stage's present state."""
        self._stage.model.vis.global_.fovy = view.fovy
        with self._standing.lifted():
            return self._shoot(_free_camera(view))

    def depths_alone(self, view: View) -> NDArray[np.float32]:
        """(N, H, W) metres along the optical axis of each object with everything else taken away.

        Where it is not, they are those of the far plane.
        """
        canvas, depths = self._canvas, []
        with self._standing.lifted():
            canvas.update(_free_camera(view))
            for number in range(len(self._stage.body_ids)):
                with canvas.only(self._owner[:-1] == number):
                    canvas.silhouette()
                    depths.append(canvas.depth().copy())
        return np.stack(depths)

    def while_standing(self, ask: Callable[[], Answer]) -> Answer:
        """Ask something of the stage while the objects are where they are rendered."""
        with self._standing.lifted():
            return ask()

    def _shoot(self, camera: mujoco.MjvCamera) -> Picture:
        canvas, count = self._canvas, len(self._stage.body_ids)
        canvas.update(camera)
        image = canvas.colours().copy()
        depth_m = canvas.depth()
        owners = self._owner[canvas.geom_numbers()]
        visible = np.stack([owners == number for number in range(count)])
        amodal = np.empty_like(visible)
        for number in range(count):
            with canvas.only(self._owner[:-1] == number):
                amodal[number] = canvas.silhouette()
        return Picture(
            image=image,
            visible=visible,
            amodal=amodal | visible,
            depth_m=depth_m,
            camera=_intrinsics(self._stage.model.vis.global_.fovy, canvas.hw),
            world_from_camera=_pose(canvas),
        )


def _free_camera(view: View) -> mujoco.MjvCamera:
    camera = mujoco.MjvCamera()
    camera.lookat[:] = view.lookat
    camera.distance, camera.azimuth, camera.elevation = (
        view.distance,
        view.azimuth,
        view.elevation,
    )
    return camera


def _intrinsics(fovy: float, hw: tuple[int, int]) -> PinholeCamera:
    focal = hw[0] / 2 / float(np.tan(np.radians(fovy) / 2))
    return PinholeCamera(focal, focal, (hw[1] - 1) / 2, (hw[0] - 1) / 2)


def _pose(canvas: Canvas) -> RigidTransform:
    """The optical frame in the world: between the two eyes, x right, y down, z forward."""
    left, right = canvas.scene.camera
    forward, up = np.array(left.forward, np.float64), np.array(left.up, np.float64)
    axes = np.stack([np.cross(forward, up), -up, forward], axis=1)
    return RigidTransform(axes, (np.array(left.pos) + np.array(right.pos)).astype(float) / 2)
