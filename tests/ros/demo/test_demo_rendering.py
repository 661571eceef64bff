# SPDX-License-Identifier: Apache-2.0
"""Models, textures and scenes of `benchmarks/rendering`, which the demo clip is made with."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from benchmarks.rendering import textures
from benchmarks.rendering.annotations import AmodalCocoWriter
from benchmarks.rendering.obj_model import ObjMaterial, ObjPart, load_obj
from benchmarks.rendering.renderer import Lighting, SceneRenderer, low_discrepancy
from benchmarks.rendering.scene import SceneObject, Slab, build_scene
from benchmarks.rendering.sweethome import load_model, read_catalogue

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
CATALOGUE = """id#1=Library#pyramid
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
    base, sides = load_obj(model_folder / "pyramid.obj")
    assert (base.material.name, len(base.faces), len(base.vertices)) == ("base", 2, 4)
    assert base.material.texture == model_folder / "wood.png"
    assert base.texcoords is not None
    assert (sides.material.name, len(sides.faces), len(sides.vertices)) == ("sides", 4, 5)
    assert sides.texcoords is None
    assert (sides.material.rgb, sides.material.alpha) == ((0.9, 0.1, 0.2), 0.5)
    assert sides.material.shininess == pytest.approx(0.5)
    apexes = sides.vertices[sides.faces[:, 2]]
    assert np.array_equal(apexes, np.tile([1, 1, -2], (4, 1)))


def test_a_broken_obj_model_is_named(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\n")
    with pytest.raises(InvalidInputError, match=r"a\.obj.*found none"):
        load_obj(tmp_path / "a.obj")
    (tmp_path / "b.obj").write_text("v 0 0 0\nf 1 2 3\n")
    with pytest.raises(InvalidInputError, match=r"b\.obj: face index"):
        load_obj(tmp_path / "b.obj")


def test_a_catalogue_model_has_its_true_size_and_stands_upright(model_folder):
    library = model_folder / "library.sh3f"
    with zipfile.ZipFile(library, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOGUE)
        for name in ("pyramid.obj", "pyramid.mtl", "wood.png"):
            archive.write(model_folder / name, f"models/pyramid/{name}")
    (entry,) = read_catalogue(library).values()
    assert (entry.name, entry.creator) == ("Pyramid", "Somebody")
    parts = load_model(library, entry, model_folder / "unpacked")
    points = np.concatenate([part.vertices for part in parts])
    assert np.allclose(points.min(axis=0), [-0.1, -0.2, 0.0])
    assert np.allclose(points.max(axis=0), [0.1, 0.2, 0.3])
    apex = points[points[:, 2].argmax()]
    assert np.allclose(apex, [0, 0, 0.3])
    assert parts[0].material.texture is not None
    assert parts[0].material.texture.is_file()


def test_a_file_that_is_no_library(tmp_path):
    (tmp_path / "x.sh3f").write_bytes(b"no zip")
    with pytest.raises(InvalidInputError, match=r"x\.sh3f.*furniture library"):
        read_catalogue(tmp_path / "x.sh3f")


def test_textures_follow_the_seed():
    def draw(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return textures.wood(rng, (64, 96), (90, 60, 30), (170, 120, 70), 4)

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


def test_annotations_leave_out_what_is_outside_and_keep_what_is_hidden():
    writer = AmodalCocoWriter({}, ["a", "b", "c"], ["cup", "cup", "ball"])
    amodal, visible = np.zeros((2, 3, 8, 8), bool)
    amodal[0, 1:4, 2:6] = visible[0, 1:4, 2:4] = True
    amodal[1, 5:7, 5:7] = True
    writer.add_frame("x.mp4", 1, 0, visible, amodal)
    data = writer.result()
    assert [record["name"] for record in data["annotations"]] == ["a", "b"]
    first, hidden = data["annotations"]
    assert (first["bbox"], first["visible_bbox"]) == ([2, 1, 4, 3], [2, 1, 2, 3])
    assert (hidden["area"], hidden["visible_bbox"]) == (4, [0, 0, 0, 0])
    assert len(data["categories"]) == 2


def cube(name: str, rgb: tuple[float, float, float]) -> SceneObject:
    """Ten centimetres a side, standing on z = 0."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)]) * 0.05
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    part = ObjPart(ObjMaterial(name, rgb), corners, None, None, np.array(faces))
    return SceneObject(name, "cube", [part])


@pytest.mark.rendering
def test_masks_and_colours_of_a_rendered_scene():
    """A red cube stands in front of a green one: both masks are known from the arrangement."""
    table = Slab("table", (0, 0, -0.01), (1, 1, 0.01), np.full((8, 8, 3), 128, np.uint8))
    things = [cube("front", (0.9, 0.1, 0.1)), cube("back", (0.1, 0.9, 0.1))]
    source = build_scene(things, [table], max_hw=(96, 128), vertical_fov=40)
    renderer = SceneRenderer(source, ["front", "back"], (96, 128), Lighting())
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
        build_scene(twins, [], max_hw=(8, 8), vertical_fov=40)
