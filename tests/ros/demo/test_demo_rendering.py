# SPDX-License-Identifier: Apache-2.0
"""Models, textures and scenes of `benchmarks/rendering`, which the demo clip is made with."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from benchmarks.rendering.demo_scene import catalogue_entries, standing_parts
from benchmarks.rendering.renderer import Lighting, SceneRenderer, low_discrepancy
from benchmarks.rendering.stage import SceneObject, Slab, build_stage, wood
from training.rendering.obj_model import MaterialMesh, parse_obj
from training.rendering.sh3f import read_catalogue

# A pyramid of two materials: quadrilateral base (texture, no normals), three-sided faces.
OBJ = """mtllib pyramid.mtl
v 0 0 0
v 2 0 0
v 2 0 -4
v 0 0 -4
v 1 1 -2
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl base
f 1/1 2/2 3/3 4/4
usemtl sides
f 1 2 -1
f 2 3 -1
f 3 4 5
f 4 1 5
"""
MTL = """newmtl base
Kd 1 1 1
map_Kd wood.png
newmtl sides
Kd 0.9 0.1 0.2
Ks 0.5 0.5 0.5
Ns 64
d 0.5
"""
CATALOGUE = """license=Public domain
id#1=Library#pyramid
name#1=Pyramid
creator#1=Somebody
model#1=/models/pyramid/pyramid.obj
width#1=20
depth#1=40
height#1=30
"""


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    (tmp_path / "pyramid.obj").write_text(OBJ)
    (tmp_path / "pyramid.mtl").write_text(MTL)
    cv2.imwrite(str(tmp_path / "wood.png"), np.full((4, 4, 3), 90, np.uint8))
    return tmp_path


def test_an_obj_model_is_split_by_material(model_folder):
    base, sides = parse_obj("pyramid.obj", lambda name: (model_folder / name).read_bytes())
    assert (len(base.faces), len(base.vertices), base.texture) == (2, 4, "wood.png")
    assert base.texture_uv.any()
    assert (len(sides.faces), len(sides.vertices), sides.texture) == (4, 5, "")
    assert (sides.colour, sides.alpha) == ((0.9, 0.1, 0.2), 0.5)
    assert sides.sharpness == pytest.approx(0.5)
    apexes = sides.vertices[sides.faces[:, 2]]
    assert np.array_equal(apexes, np.tile([1, 1, -2], (4, 1)))


def test_normals_are_kept_where_all_corners_have_them():
    text = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\nvn 0 1 0\n"
    (mesh,) = parse_obj("a", {"a": text + b"f 1//1 2//1 3//2\n"}.__getitem__, with_normals=True)
    assert mesh.normals is not None
    assert mesh.normals[mesh.faces].tolist() == [[[0, 0, 1], [0, 0, 1], [0, 1, 0]]]
    (without,) = parse_obj("a", {"a": text + b"f 1//1 2 3\n"}.__getitem__, with_normals=True)
    assert without.normals is None


def test_a_catalogue_model_has_its_true_size_and_stands_upright(model_folder):
    library = model_folder / "library.sh3f"
    with zipfile.ZipFile(library, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOGUE)
        for name in ("pyramid.obj", "pyramid.mtl", "wood.png"):
            archive.write(model_folder / name, f"models/pyramid/{name}")
    (entry,) = read_catalogue(library)
    assert (entry.name, entry.creator) == ("Pyramid", "Somebody")
    parts = standing_parts(entry)
    points = np.concatenate([part.vertices for part in parts])
    assert np.allclose(points.min(axis=0), [-0.1, -0.2, 0.0])
    assert np.allclose(points.max(axis=0), [0.1, 0.2, 0.3])
    apex = points[points[:, 2].argmax()]
    assert np.allclose(apex, [0, 0, 0.3])
    assert parts[0].texture == "models/pyramid/wood.png"


def test_a_file_that_is_no_library(tmp_path):
    (tmp_path / "x.sh3f").write_bytes(b"no zip")
    with pytest.raises(InvalidInputError, match=r"x\.sh3f.*furniture library"):
        catalogue_entries(tmp_path / "x.sh3f")


def test_textures_follow_the_seed():
    def draw(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return wood(rng, (64, 96), (90, 60, 30), (170, 120, 70), 4)

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))
    assert draw(1).shape == (64, 96, 3)
    assert draw(1).std() > 5


def test_sample_points_are_spread_evenly():
    points = low_discrepancy(256, 4)
    assert points.shape == (256, 4)
    assert ((points >= 0) & (points < 1)).all()
    for column in points.T:
        assert np.histogram(column, bins=8, range=(0, 1))[0].min() >= 20


def cube(name: str, rgb: tuple[float, float, float]) -> SceneObject:
    """Ten centimetres a side, standing on z = 0."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)]) * 0.05
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    part = MaterialMesh(corners, np.zeros((8, 2)), np.array(faces), rgb, 0.1, "")
    return SceneObject(name, "cube", [part], {}.__getitem__)


@pytest.mark.rendering
@pytest.mark.own_process
def test_masks_and_colours_of_a_rendered_scene():
    """A red cube stands in front of a green one: both masks are known from the arrangement."""
    table = Slab("table", (0, 0, -0.01), (1, 1, 0.01), np.full((8, 8, 3), 128, np.uint8))
    things = [cube("front", (0.9, 0.1, 0.1)), cube("back", (0.1, 0.9, 0.1))]
    renderer = SceneRenderer(things, [table], (96, 128), 40, Lighting())
    renderer.place("front", (0.0, -0.1, 0.0), np.eye(3))
    renderer.place("back", (0.04, 0.1, 0.0), np.eye(3))
    renderer.look((0.0, -0.6, 0.05), (0.0, 0.0, 0.05))
    visible, amodal = renderer.visible_masks(), renderer.amodal_masks()
    picture = renderer.colour(4)
    again = renderer.visible_masks()
    renderer.close()
    assert np.array_equal(visible, again)
    assert not (visible & ~amodal).any()
    assert np.array_equal(visible[0], amodal[0]), "nothing stands before the front cube"
    assert not (visible[0] & visible[1]).any()
    hidden = amodal[1] & ~visible[1]
    assert np.array_equal(hidden, amodal[1] & amodal[0])
    assert 0.3 < hidden.sum() / amodal[1].sum() < 0.95
    # The front face, 0.1 m high, is seen from 0.45 m: 0.1 / (2 * 0.45 * tan(20 deg)).
    rows = np.flatnonzero(amodal[0].any(axis=1))
    assert rows.max() - rows.min() + 1 == pytest.approx(
        96 * 0.1 / (0.9 * np.tan(np.pi / 9)), abs=2
    )
    red, green = picture[visible[0]].mean(axis=0), picture[visible[1]].mean(axis=0)
    assert red[0] > red[1] + 40
    assert green[1] > green[0] + 40


def test_two_objects_of_one_name_are_refused():
    twins = [cube("a", (1, 0, 0)), cube("a", (0, 1, 0))]
    with pytest.raises(InvalidInputError, match="different names"):
        build_stage(twins, [], max_hw=(8, 8), vertical_fov=40)
