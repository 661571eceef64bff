# SPDX-License-Identifier: Apache-2.0
"""Objects whose collision shapes end above the lowest point of what is seen of them."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import mujoco
import numpy as np
import pytest
from PIL import Image

from benchmarks.tabletop import catalog
from benchmarks.tabletop.catalog import TabletopObject
from benchmarks.tabletop.stage import Stage, build_stage
from benchmarks.tabletop.standing import Standing

DEPTH_M = 0.006
CUBE = " ".join(f"{x} {y} {z}" for x in (-1, 1) for y in (-1, 1) for z in (-1, 1))


def write_cube(folder: Path, name: str, half: float, depth: float) -> TabletopObject:
    """A cube that is seen whole and collides without the lowest `depth` metres."""
    (folder / name).with_suffix(".xml").write_text(
        f'<mujoco><asset><mesh name="cube" vertex="{CUBE}" scale="{half} {half} {half}"/></asset>'
        '<worldbody><body><body><geom type="mesh" mesh="cube" group="1" contype="0" '
        f'conaffinity="0"/><geom type="box" size="{half} {half} {half - depth / 2}" '
        f'pos="0 0 {depth / 2}"/></body></body></worldbody></mujoco>'
    )
    return TabletopObject(name, f"{name}.xml", standing=1.0)


def cube_stage(folder: Path) -> Stage:
    """Three cubes at rest, the last one without the fault."""
    for texture in (*catalog.TABLE_TEXTURES, *catalog.WALL_TEXTURES, *catalog.FLOOR_TEXTURES):
        (folder / texture).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 128, np.uint8)).save(folder / texture)
    cubes = [write_cube(folder, f"sunk{k}", 0.04, DEPTH_M) for k in range(2)]
    cubes.append(write_cube(folder, "exact", 0.04, 0.0))
    return build_stage(folder, cubes, np.random.default_rng(0), (120, 160))


@pytest.fixture
def stage(tmp_path) -> Stage:
    return cube_stage(tmp_path)


def expected_depths(stage: Stage) -> list[float]:
    return [DEPTH_M if item.name.startswith("sunk") else 0.0 for item in stage.objects]


def test_objects_are_lifted_by_what_they_sink_and_put_back(stage):
    standing, before = Standing(stage), stage.data.geom_xpos.copy()
    depths = standing.depths()
    np.testing.assert_allclose(depths, expected_depths(stage), atol=2e-4)
    with standing.lifted():
        assert np.abs(standing.depths()).max() < 1e-9
        moved = stage.data.geom_xpos - before
    np.testing.assert_allclose(np.unique(moved[:, 2]), np.unique([0, *depths]), atol=1e-9)
    np.testing.assert_array_equal(stage.data.geom_xpos, before)


def test_what_stands_on_another_is_lifted_with_it(stage):
    names = [item.name for item in stage.objects]
    lower, upper = names.index("sunk0"), names.index("exact")
    address = stage.model.jnt_qposadr[stage.model.body_jntadr[stage.body_ids]]
    place = stage.data.qpos[address[lower] : address[lower] + 7].copy()
    place[2] += 0.0795
    stage.data.qpos[address[upper] : address[upper] + 7] = place
    mujoco.mj_forward(stage.model, stage.data)
    depths = Standing(stage).depths()
    assert depths[upper] == depths[lower] > 0


def test_what_has_fallen_off_the_table_is_left_where_it_is(stage):
    address = stage.model.jnt_qposadr[stage.model.body_jntadr[stage.body_ids]]
    stage.data.qpos[address + 2] -= 0.7
    mujoco.mj_forward(stage.model, stage.data)
    assert not Standing(stage).depths().any()


def test_the_table_hides_nothing_of_what_stands_on_it(tmp_path, monkeypatch):
    """Seen from the side; in a process of its own, for OSMesa and torch do not share one."""
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setenv("LP_NUM_THREADS", "1")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        hidden = pool.submit(hidden_by_the_table, tmp_path).result()
    assert max(hidden) <= 2, f"{hidden} pixels hidden at the foot of each cube"


def hidden_by_the_table(folder: Path) -> list[int]:
    """Pixels of each cube that are hidden where no other cube is seen."""
    from benchmarks.tabletop.cameraman import Cameraman, View

    stage = cube_stage(folder)
    with Cameraman(stage, (120, 160)) as cameraman:
        picture = cameraman.shoot(View((0.0, 0.0, 0.03), 0.5, 30.0, -20.0, 50.0))
    return [int((mask & ~picture.visible.any(axis=0)).sum()) for mask in picture.amodal]
