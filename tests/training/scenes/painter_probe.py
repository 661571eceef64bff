# SPDX-License-Identifier: Apache-2.0
"""Renders a ball behind a board in a process of its own (OSMesa and torch do not mix).

Run as a module with the file to write: arrays `image`, `visible`, `amodal`, and of a second scene
with more than 255 parts, whose last prop hides behind its first, `many_amodal`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(path: Path) -> None:
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("LP_NUM_THREADS", "1")
    from training.rendering.canvas import current_context
    from training.rendering.environment import Lights
    from training.scenes.meshes import Mesh, box, superquadric
    from training.scenes.placement import Placed
    from training.scenes.props import Look, Prop, corner_normals
    from training.scenes.scene import Painter
    from training.scenes.stage import build_stage
    from training.scenes.surfaces import Surfaces
    from training.scenes.views import View, camera_effects

    current_context()
    red, blue = (
        Look(np.array(rgb, np.float32), None, 0.6) for rgb in ((0.9, 0.1, 0.1), (0.1, 0.1, 0.9))
    )

    def placed(meshes: list[Mesh], look: Look, at: tuple[float, float, float]) -> Placed:
        parts = [(mesh, corner_normals(mesh), look) for mesh in meshes]
        return Placed(Prop("x", parts, 1.0, False, None), np.eye(3), np.array(at))

    # Seen along +x from 1 m: the ball at the origin, the board 0.2 m nearer hides its right half.
    view = View((0.0, 0.0, 0.1), 1.0, 0.0, 0.0, 45.0, 0.0)
    ball = placed([superquadric((0.2, 0.2, 0.2))], red, (0.0, 0.0, 0.1))
    board = placed([box((0.01, 0.2, 0.3))], blue, (-0.2, -0.1, 0.15))
    rng = np.random.default_rng(0)
    stage = build_stage([ball, board], [], [view], Surfaces(), rng)
    painter = Painter(stage, Lights().draw(stage.ground, rng), 2, rng)
    visible, amodal = painter.masks(view)
    linear = painter.colour(view, None, rng)
    painter.close()
    grains = [box((0.004,) * 3, (0, 0.006 * k, 0)) for k in range(12)]
    dust = [placed(grains, red, (0.0, 0.0, 0.01 * k)) for k in range(25)]
    stage = build_stage([board, *dust, ball], [], [view], Surfaces(), rng)
    painter = Painter(stage, Lights().draw(stage.ground, rng), 27, rng)
    _, many = painter.masks(view)
    painter.close()
    shaded = probe_light(ball, view, rng)
    image = camera_effects(linear, np.random.default_rng(0))
    np.savez(path, image=image, visible=visible, amodal=amodal, many_amodal=many, **shaded)


def probe_light(ball: Any, view: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Buffers of the ball alone, and light that comes from one side only."""
    import mujoco

    from training.rendering.canvas import Canvas
    from training.rendering.environment import make_environment
    from training.rendering.shading import Light, take_buffers
    from training.scenes.stage import build_stage
    from training.scenes.surfaces import Surfaces

    stage = build_stage([ball], [], [view], Surfaces(), rng)
    data = mujoco.MjData(stage.model)
    mujoco.mj_forward(stage.model, data)
    canvas = Canvas(stage.model, data)
    camera, hw = view.camera(), (240, 320)
    buffers = take_buffers(canvas, camera, hw)
    points = camera.rays(hw) * buffers.depth[..., None] + camera.eye
    panorama = np.full((32, 64, 3), 0.01, np.float32)
    panorama[8:12, 14:18] = 100  # at +y, 60 degrees up
    environment = make_environment(panorama, 0.0, stage.ground)
    light = Light(canvas, environment, stage.casters, stage.points, 0.0)
    arriving, sky = light.arriving(buffers, points.astype(np.float32), rng)
    canvas.close()
    return {
        "on_ball": np.append(stage.owner, -1)[buffers.geom] == 0,
        "normal": buffers.normal,
        "points": points,
        "arriving": arriving,
        "sky": sky[..., 0],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
