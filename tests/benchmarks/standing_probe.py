# SPDX-License-Identifier: Apache-2.0
"""Cubes that sink into the table: run as a program, for OSMesa and torch do not share a process.

``python -m tests.benchmarks.standing_probe FOLDER`` prints as JSON what `test_standing.py` reads.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.tabletop import catalog
from benchmarks.tabletop.catalog import TabletopObject

if TYPE_CHECKING:
    from benchmarks.tabletop.stage import Stage

DEPTH_M = 0.006
_HALF_M = 0.04
_HW = (120, 160)
_CORNERS = " ".join(f"{x} {y} {z}" for x in (-1, 1) for y in (-1, 1) for z in (-1, 1))


def write_cube(folder: Path, name: str, depth: float) -> TabletopObject:
    """A cube that is seen whole and collides without the lowest `depth` metres."""
    h = _HALF_M
    (folder / name).with_suffix(".xml").write_text(
        f'<mujoco><asset><mesh name="cube" vertex="{_CORNERS}" scale="{h} {h} {h}"/></asset>'
        '<worldbody><body><body><geom type="mesh" mesh="cube" group="1" contype="0" '
        f'conaffinity="0"/><geom type="box" size="{h} {h} {h - depth / 2}" '
        f'pos="0 0 {depth / 2}"/></body></body></worldbody></mujoco>'
    )
    return TabletopObject(name, f"{name}.xml", standing=1.0)


def main(folder: Path) -> None:
    """Look at three cubes at rest, of which `exact` has no fault, and move them about."""
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("LP_NUM_THREADS", "1")
    from benchmarks.tabletop.stage import build_stage

    for texture in (*catalog.TABLE_TEXTURES, *catalog.WALL_TEXTURES, *catalog.FLOOR_TEXTURES):
        (folder / texture).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 128, np.uint8)).save(folder / texture)
    depths = {"sunk0": DEPTH_M, "sunk1": DEPTH_M, "exact": 0.0}
    cubes = [write_cube(folder, name, depth) for name, depth in depths.items()]
    stage = build_stage(folder, cubes, np.random.default_rng(0), _HW)
    print(json.dumps({**_at_rest(stage), **_moved(stage)}))


def _at_rest(stage: Stage) -> dict[str, Any]:
    from benchmarks.tabletop.cameraman import Cameraman, View
    from benchmarks.tabletop.standing import Standing

    standing, before = Standing(stage), stage.data.geom_xpos.copy()
    found: dict[str, Any] = {"depths": _by_name(stage, standing.depths())}
    with standing.lifted():
        found["lifted"] = _by_name(stage, standing.depths())
        moved = stage.data.geom_xpos[:, 2] - before[:, 2]
        found["moves"] = sorted(set(moved.round(9).tolist()))
    found["is_put_back"] = bool((stage.data.geom_xpos == before).all())
    with Cameraman(stage, _HW) as cameraman:
        picture = cameraman.shoot(View((0.0, 0.0, 0.03), 0.5, 30.0, -20.0, 50.0))
    unseen = picture.amodal & ~picture.visible.any(axis=0)
    found["hidden_by_the_table"] = _by_name(stage, unseen.sum(axis=(1, 2)))
    found["seen"] = _by_name(stage, picture.visible.sum(axis=(1, 2)))
    return found


def _moved(stage: Stage) -> dict[str, Any]:
    """The faultless cube on a sunken one; then all of them far below the table."""
    import mujoco

    from benchmarks.tabletop.standing import Standing

    names = [item.name for item in stage.objects]
    lower, upper = names.index("sunk0"), names.index("exact")
    address = stage.model.jnt_qposadr[stage.model.body_jntadr[stage.body_ids]]
    place = stage.data.qpos[address[lower] : address[lower] + 7].copy()
    place[2] += 2 * _HALF_M - 0.0005
    stage.data.qpos[address[upper] : address[upper] + 7] = place
    mujoco.mj_forward(stage.model, stage.data)
    carried = _by_name(stage, Standing(stage).depths())
    stage.data.qpos[address + 2] -= 0.7
    mujoco.mj_forward(stage.model, stage.data)
    return {"carried": carried, "fallen": _by_name(stage, Standing(stage).depths())}


def _by_name(stage: Stage, values: Any) -> dict[str, float]:
    return {item.name: float(v) for item, v in zip(stage.objects, values, strict=True)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
