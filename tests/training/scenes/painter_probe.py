# SPDX-License-Identifier: Apache-2.0
"""Renders a ball behind a board in a process of its own (OSMesa and torch do not mix).

Run as a module with the file to write: arrays `image`, `visible`, `amodal`, and of a second scene
with more than 255 parts, whose last thing hides behind its first, `many_amodal`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np


def main(path: Path) -> None:
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("LP_NUM_THREADS", "1")
    from training.rendering.canvas import current_context
    from training.scenes.effects import camera_effects
    from training.scenes.lights import Lights
    from training.scenes.meshes import Mesh, box, superquadric
    from training.scenes.painter import Painter
    from training.scenes.placement import Placed
    from training.scenes.stage import HW, build_stage
    from training.scenes.surfaces import Surfaces
    from training.scenes.thing import Look, Thing, corner_normals
    from training.scenes.views import View

    current_context(HW)
    red, blue = (
        Look(np.array(rgb, np.float32), None, 0.6) for rgb in ((0.9, 0.1, 0.1), (0.1, 0.1, 0.9))
    )

    def placed(meshes: list[Mesh], look: Look, at: tuple[float, float, float]) -> Placed:
        parts = [(mesh, corner_normals(mesh), look) for mesh in meshes]
        return Placed(Thing("x", parts, 1.0, False, None), np.eye(3), np.array(at))

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
    image = camera_effects(linear, np.random.default_rng(0))
    np.savez(path, image=image, visible=visible, amodal=amodal, many_amodal=many)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
