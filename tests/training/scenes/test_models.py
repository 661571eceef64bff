# SPDX-License-Identifier: Apache-2.0
"""Which models may be used, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from benchmarks.rendering.demo_scene import PROPS
from tests.training.scenes.scene_models import obj, write_catalogue
from training.scenes.meshes import volume
from training.scenes.models import DEMO_MODELS, ModelStore, is_held_out, usable_models
from training.untrusted import CorruptRecordError


def many(folder: Path) -> Path:
    return write_catalogue(folder, {f"m{k}": b"" for k in range(400)} | {"cactus": b""})


def test_the_demo_clip_is_never_trained_on(tmp_path: Path) -> None:
    assert {prop.model_id.rpartition("#")[2] for prop in PROPS} == DEMO_MODELS
    folder = many(tmp_path)
    found = usable_models(folder, "train") + usable_models(folder, "validation")
    assert len(found) == 400
    assert "Test#cactus" not in {model.model_id for model in found}


def test_splits_share_nothing(tmp_path: Path) -> None:
    folder = many(tmp_path)
    train, held_out = (
        {model.model_id for model in usable_models(folder, split)}
        for split in ("train", "validation")
    )
    assert not train & held_out
    assert 20 <= len(held_out) <= 60  # a tenth of 400
    assert all(is_held_out(name) for name in held_out)
    with pytest.raises(InvalidInputError, match=r"expected one of .*, got 'test'"):
        usable_models(folder, "test")
    with pytest.raises(InvalidInputError, match=r"expected \.sh3f catalogues"):
        usable_models(tmp_path / "nothing", "train")


def test_models_are_upright_and_of_size_one(tmp_path: Path) -> None:
    models = {m.model_id: m for m in _all(write_catalogue(tmp_path / "models"))}
    store = ModelStore(tmp_path / "cache")
    for again in range(2):  # the second time from the cache
        ready = store.load(models["Test#box"])
        (part,) = ready.parts
        mesh, normals, rgb, shine, texture = part
        assert np.allclose(mesh.vertices.min(axis=0), (-0.25, -1 / 6, 0)), again
        assert np.allclose(mesh.vertices.max(axis=0), (0.25, 1 / 6, 1))
        assert (rgb, shine, texture) == ((0.9, 0.1, 0.1), 0.4, -1)
        # Every triangle from both sides: no volume, and normals that cancel.
        assert mesh.faces.shape == (24, 3)
        assert volume(mesh) == pytest.approx(0)
        assert np.allclose(np.linalg.norm(normals, axis=2), 1)
        assert np.allclose(normals.sum(axis=(0, 1)), 0)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_textures(tmp_path: Path) -> None:
    models = {m.model_id: m for m in _all(write_catalogue(tmp_path / "models"))}
    ready = ModelStore(tmp_path / "cache").load(models["Test#ell"])
    (texture,) = ready.textures
    assert texture.shape == (8, 12, 3)
    assert tuple(texture[0, 0]) == (40, 200, 30)  # RGB
    assert [part[4] for part in ready.parts] == [0]


def test_what_makes_no_object_is_left_out(tmp_path: Path) -> None:
    bad = {
        "rug": obj(((90, 1, 90), (0, 0, 0))),
        "far": obj(((9, 9, 9), (0, 0, 0)), ((9, 9, 9), (50, 0, 0))),
        "large": obj(*[((30, 30, 30), (0, 0, 0))] * 1001),
    }
    store = ModelStore(tmp_path / "cache")
    for model in _all(write_catalogue(tmp_path / "models", bad)):
        for _ in range(2):
            assert store.load(model) is None
    broken = write_catalogue(tmp_path / "broken", {"x": b"v 0 0 0\nf 1 2 3\n"})
    with pytest.raises(CorruptRecordError, match=r"test\.sh3f, record Test#x: face corner"):
        store.load(_all(broken)[0])


def _all(folder: Path) -> list:
    found = []
    for split in ("train", "validation"):
        try:
            found += usable_models(folder, split)
        except InvalidInputError:
            assert split == "validation" or not found
    return found
