# SPDX-License-Identifier: Apache-2.0
"""Pictures of a stage with the masks that belong to them."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from benchmarks.tabletop.stage import COLLISION_GROUP, ROOM_GROUP, VISUAL_GROUP, Stage
from benchmarks.tabletop.standing import Standing


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
    """

    image: NDArray[np.uint8]
    visible: NDArray[np.bool_]
    amodal: NDArray[np.bool_]


class Cameraman:
    """Renders a stage; holds the graphics context, so close it (or use ``with``)."""

    def __init__(self, stage: Stage, hw: tuple[int, int]) -> None:
        self._stage = stage
        self._renderer = mujoco.Renderer(stage.model, *hw)
        self._options = mujoco.MjvOption()
        self._options.geomgroup[:] = 0
        self._options.geomgroup[[VISUAL_GROUP, ROOM_GROUP]] = 1
        self._options.geomgroup[COLLISION_GROUP] = 0
        self._owner = stage.geom_owners()
        self._standing = Standing(stage)

    def __enter__(self) -> Cameraman:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the graphics context."""
        self._renderer.close()

    def shoot(self, view: View) -> Picture:
        """Render the stage's present state."""
        camera = mujoco.MjvCamera()
        camera.lookat[:] = view.lookat
        camera.distance, camera.azimuth, camera.elevation = (
            view.distance,
            view.azimuth,
            view.elevation,
        )
        self._stage.model.vis.global_.fovy = view.fovy
        with self._standing.lifted():
            return self._shoot(camera)

    def _shoot(self, camera: mujoco.MjvCamera) -> Picture:
        renderer = self._renderer
        renderer.update_scene(self._stage.data, camera, self._options)
        image = renderer.render().copy()
        renderer.enable_segmentation_rendering()
        try:
            renderer.update_scene(self._stage.data, camera, self._options)
            owners = self._owners(renderer.render())
            count = len(self._stage.body_ids)
            visible = np.stack([owners == number for number in range(count)])
            amodal = np.stack([self._alone(number) for number in range(count)])
        finally:
            renderer.disable_segmentation_rendering()
        return Picture(image=image, visible=visible, amodal=amodal | visible)

    def _alone(self, number: int) -> NDArray[np.bool_]:
        """Mask of one object with every other geom of the scene hidden."""
        scene = self._renderer.scene
        types = [scene.geoms[k].type for k in range(scene.ngeom)]
        for k in range(scene.ngeom):
            if self._owner[scene.geoms[k].objid] != number:
                scene.geoms[k].type = int(mujoco.mjtGeom.mjGEOM_NONE)
        mask = self._owners(self._renderer.render()) == number
        for k, kind in enumerate(types):
            scene.geoms[k].type = kind
        return mask

    def _owners(self, segmentation: NDArray[np.int32]) -> NDArray[np.int64]:
        """Object number of each pixel, -1 for the room, from (H, W, 2) geom ids and types."""
        ids, kinds = segmentation[..., 0], segmentation[..., 1]
        is_geom = kinds == int(mujoco.mjtObj.mjOBJ_GEOM)
        return np.where(is_geom, self._owner[np.where(is_geom, ids, 0)], -1)
