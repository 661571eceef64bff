# SPDX-License-Identifier: Apache-2.0
"""Rendered models: reading, sifting, and alpha that is the silhouette."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from training.rendering.obj_model import parse_obj, shape_reason
from training.rendering.sh3f import read_catalogue, read_zip_member, spdx_licence
from training.taos.config import TaosConfig
from training.taos.sources import open_source
from training.taos.sources.mujoco_views import render_views
from training.untrusted import CorruptRecordError, RejectedError

FACES = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]


def block(size: tuple[float, float, float], at: tuple[float, float, float], first: int) -> str:
    """OBJ text of a box with quad faces, corners numbered from `first`."""
    lines = []
    for corner in range(8):
        bits = (corner & 1, corner >> 1 & 1, corner >> 2)
        lines.append(
            "v " + " ".join(f"{a + s * b}" for a, s, b in zip(at, size, bits, strict=True))
        )
    lines += ["f " + " ".join(f"{first + i}/1" for i in face) for face in FACES]
    return "\n".join(lines)


def model(*blocks: tuple[tuple[float, float, float], tuple[float, float, float]]) -> bytes:
    parts = ["mtllib m.mtl", "vt 0.5 0.5", "usemtl red"]
    parts += [block(size, at, 1 + 8 * i) for i, (size, at) in enumerate(blocks)]
    return "\n".join(parts).encode()


CUBE = model(((30, 30, 30), (0, 0, 0)))
MTL = b"newmtl red\nKd 0.9 0.1 0.1\nKs 0.1 0.1 0.1\n"
TEXTURED = MTL + b"map_Kd wood.jpg\n"


def catalogue(
    path: Path, models: dict[str, bytes], licence: str = "Public domain", mtl: bytes = MTL
) -> None:
    lines = ["id=Test", f"license={licence}"]
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, data) in enumerate(models.items(), start=1):
            lines += [
                f"id#{number}=T#{name}",
                f"name#{number}=Caf\\u00e9 {name}",
                f"model#{number}=/t/{name}/{name}.obj",
                f"creator#{number}=Somebody",
            ]
            archive.writestr(f"t/{name}/{name}.obj", data)
            archive.writestr(f"t/{name}/m.mtl", mtl)
            archive.writestr(
                f"t/{name}/wood.jpg",
                cv2.imencode(".jpg", np.full((8, 8, 3), (30, 200, 30), np.uint8))[1].tobytes(),
            )
        archive.writestr("PluginFurnitureCatalog.properties", "\n".join(lines).encode("latin-1"))


@pytest.fixture
def small() -> TaosConfig:
    return TaosConfig(render_size=96, render_views=2)


def test_obj_with_materials() -> None:
    files = {"a/x.obj": CUBE, "a/m.mtl": TEXTURED}
    (mesh,) = parse_obj("a/x.obj", files.__getitem__)
    assert mesh.vertices.shape == (8, 3)
    assert mesh.faces.shape == (12, 3)  # quads become triangles
    assert mesh.colour == (0.9, 0.1, 0.1)
    assert mesh.texture == "a/wood.jpg"
    with pytest.raises(
        ValueError, match=r"face corner \[99, 0\]: expected indices within \[1, 0\]"
    ):
        parse_obj("x", {"x": b"v 0 0 0\nf 1 1 99"}.__getitem__)
    with pytest.raises(ValueError, match="expected faces"):
        parse_obj("x", {"x": b"v 0 0 0\n"}.__getitem__)


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([((30, 30, 30), (0, 0, 0))], ""),
        ([((30, 30, 30), (0, 0, 0)), ((10, 30, 10), (10, 30, 10))], ""),
        ([((90, 1, 90), (0, 0, 0))], "model_flat"),
        ([((30, 30, 30), (0, 0, 0)), ((30, 30, 30), (60, 0, 0))], "model_disconnected"),
    ],
)
def test_shapes_are_sifted(blocks: list, reason: str) -> None:
    files = {"x.obj": model(*blocks), "m.mtl": MTL}
    assert shape_reason(parse_obj("x.obj", files.__getitem__)) == reason


@pytest.mark.rendering
@pytest.mark.own_process
def test_alpha_is_the_silhouette() -> None:
    """A sphere seen from anywhere is a disc of known size."""
    rings, sectors = 24, 48
    lines = []
    for i in range(rings + 1):
        for j in range(sectors):
            p, q = np.pi * i / rings, 2 * np.pi * j / sectors
            lines.append(f"v {np.sin(p) * np.cos(q)} {np.cos(p)} {np.sin(p) * np.sin(q)}")
    for i in range(rings):
        for j in range(sectors):
            a, b = i * sectors + j + 1, i * sectors + (j + 1) % sectors + 1
            lines.append(f"f {a} {b} {b + sectors} {a + sectors}")
    meshes = parse_obj("x", {"x": "\n".join(lines).encode()}.__getitem__)
    seeds = [np.random.SeedSequence(s) for s in (1, 2)]
    # The corners of the ball's bounding box, not the ball, set the scale: they are at 1.
    views = render_views(meshes, {}.__getitem__, 128, seeds)
    again = render_views(meshes, {}.__getitem__, 128, seeds)
    for view, other in zip(views, again, strict=True):
        assert (view == other).all()
        alpha = view[..., 3] / 255.0
        ys, xs = np.mgrid[0:128, 0:128] - 63.5
        distance = 1.03 / np.sin(np.radians(17.5))
        radius = 64 * np.tan(np.arcsin(1 / distance)) / np.tan(np.radians(17.5))
        assert (alpha[np.hypot(xs, ys) < radius - 2] == 1).all()
        assert (alpha[np.hypot(xs, ys) > radius + 1.5] == 0).all()
        assert alpha.sum() == pytest.approx(np.pi * radius**2, rel=0.02)
        assert ((alpha > 0) & (alpha < 1)).sum() > 50  # antialiased
        edge = view[(alpha > 0.2) & (alpha < 0.8)][:, :3]
        assert edge.min() > 10  # no black background mixed in
    assert (views[0] != views[1]).any()


@pytest.mark.rendering
@pytest.mark.own_process
def test_views_of_a_catalogue(tmp_path: Path, small: TaosConfig) -> None:
    flat = model(((90, 1, 90), (0, 0, 0)))
    catalogue(tmp_path / "a.sh3f", {"cube": CUBE, "rug": flat})
    catalogue(tmp_path / "b.sh3f", {"other": CUBE}, "Creative Commons Attribution 3.0 license")
    catalogue(tmp_path / "c.sh3f", {"secret": CUBE}, "All rights reserved")
    source = open_source(f"render:{tmp_path}", small, tmp_path / "cache")
    assert list(source.pool(0)) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    cut = source.cut_out((0, 1))
    assert cut.origin["record"] == "T#cube"
    assert cut.origin["category"] == "Café cube"
    assert cut.origin["licence"] == "CC0-1.0"
    assert cut.origin["creator"] == "Somebody"
    colour = cut.rgb[cut.alpha > 0.9].mean(axis=0)
    assert colour[0] > 3 * colour[1]  # red
    with pytest.raises(RejectedError) as caught:
        source.cut_out((1, 0))
    assert caught.value.reason == "model_flat"
    assert source.cut_out((2, 0)).origin["licence"] == "CC-BY-3.0"
    # A second source finds everything in the cache, a new cache gives the same pixels.
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.png")}
    again = open_source(f"render:{tmp_path}", small, tmp_path / "cache").cut_out((0, 1))
    assert stamps == {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.png")}
    fresh = open_source(f"render:{tmp_path}", small, tmp_path / "new").cut_out((0, 1))
    for other in (again, fresh):
        assert (other.rgb == cut.rgb).all()
        assert (other.alpha == cut.alpha).all()


@pytest.mark.rendering
@pytest.mark.own_process
def test_textures_are_used_or_the_model_dropped(tmp_path: Path, small: TaosConfig) -> None:
    catalogue(tmp_path / "a.sh3f", {"cube": CUBE}, mtl=TEXTURED)
    cut = open_source(f"render:{tmp_path}", small, tmp_path / "1").cut_out((0, 0))
    colour = cut.rgb[cut.alpha > 0.9].mean(axis=0)
    assert colour[1] > 2 * colour[0]  # the green of wood.jpg
    catalogue(tmp_path / "a.sh3f", {"cube": CUBE}, mtl=MTL + b"map_Kd C:/author/x.png\n")
    with pytest.raises(RejectedError) as caught:
        open_source(f"render:{tmp_path}", small, tmp_path / "2").cut_out((0, 0))
    assert caught.value.reason == "model_file_missing"


@pytest.mark.rendering
@pytest.mark.own_process
def test_slivers_do_no_harm(tmp_path: Path, small: TaosConfig) -> None:
    line = b"\nusemtl other\nv 1 1 1\nv 1 1 2\nv 1 1 3\nv 1 1 4\nf -1 -2 -3\nf -2 -3 -4"
    catalogue(tmp_path / "a.sh3f", {"cube": CUBE + line})
    with_it = open_source(f"render:{tmp_path}", small, tmp_path / "1").cut_out((0, 0))
    catalogue(tmp_path / "a.sh3f", {"cube": CUBE})
    without = open_source(f"render:{tmp_path}", small, tmp_path / "2").cut_out((0, 0))
    assert (with_it.alpha == without.alpha).all()


def test_licences(tmp_path: Path, small: TaosConfig) -> None:
    assert spdx_licence("Public domain") == "CC0-1.0"
    assert spdx_licence("Creative Commons Attribution 3.0 United States license") == "CC-BY-3.0"
    assert spdx_licence("Creative Commons Attribution-NonCommercial 3.0") == "unknown"
    assert spdx_licence("Attribution 3.0 NonCommercial") == "unknown"
    assert spdx_licence("") == "unknown"
    catalogue(tmp_path / "c.sh3f", {"secret": CUBE}, "All rights reserved")
    with pytest.raises(InvalidInputError, match=r"no model under .*found \['unknown'\]"):
        open_source(f"render:{tmp_path}", small, tmp_path)


def test_broken_catalogues_are_named(tmp_path: Path, small: TaosConfig) -> None:
    (tmp_path / "x.sh3f").write_bytes(b"no zip")
    with pytest.raises(CorruptRecordError, match=r"x\.sh3f"):
        read_catalogue(tmp_path / "x.sh3f")
    catalogue(tmp_path / "x.sh3f", {"bad": b"v 1 2\nf 1 2 3"})
    source = open_source(f"render:{tmp_path}", small, tmp_path)
    with pytest.raises(CorruptRecordError, match=r"x\.sh3f, record T#bad"):
        source.cut_out((0, 0))
    with pytest.raises(CorruptRecordError, match="not in the catalogue"):
        read_zip_member(tmp_path / "x.sh3f", "gone")


def test_paths_that_leave_the_catalogue(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.sh3f", "w") as archive:
        archive.writestr(
            "PluginFurnitureCatalog.properties", "license=CC0\nid#1=a\nmodel#1=/../../etc/passwd"
        )
    with pytest.raises(CorruptRecordError, match="inside the catalogue"):
        read_catalogue(tmp_path / "x.sh3f")
