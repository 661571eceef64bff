# SPDX-License-Identifier: Apache-2.0
"""Textures, materials and camera effects: of the right kind, seeded, and various."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from tests.training.scenes.scene_models import write_catalogue
from training.scenes.dressing import PropMaker
from training.scenes.models import ModelStore, usable_models
from training.scenes.run import SceneRun
from training.scenes.surfaces import Surfaces
from training.scenes.views import camera_effects
from training.untrusted import CorruptRecordError


@pytest.mark.parametrize("kind", ["ground", "wall", "skin", "label"])
def test_textures(kind: str) -> None:
    draw = getattr(Surfaces(), kind)
    images = [draw(np.random.default_rng(seed), 64) for seed in range(12)]
    for seed, image in enumerate(images):
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        assert (image == draw(np.random.default_rng(seed), 64)).all()
    means = np.array([image.mean(axis=(0, 1)) for image in images])
    assert len(np.unique(means.round(3), axis=0)) == 12
    assert np.ptp(means) > 50


def test_photos_become_textures(tmp_path: Path) -> None:
    """A photo of one colour is found again among the textures, whole or as a part of a label."""
    path = tmp_path / "green.png"
    cv2.imwrite(str(path), np.full((50, 70, 3), (10, 250, 20), np.uint8))
    surfaces = Surfaces([path])
    green = np.array((20, 250, 10))
    assert (surfaces.material(np.random.default_rng(0), 32) == green).all()
    for kind, size in (("ground", 1.0), ("wall", 1.0), ("skin", 1.0), ("label", 0.09)):
        draws = [getattr(surfaces, kind)(np.random.default_rng(s), 32) for s in range(40)]
        shares = np.array([(image == green).all(axis=2).mean() for image in draws])
        assert 2 <= np.count_nonzero(shares >= size * 0.5) <= 38, kind
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    with pytest.raises(CorruptRecordError, match=r"broken\.jpg"):
        Surfaces([tmp_path / "broken.jpg"]).photo(np.random.default_rng(0), 32)


def test_things_are_household_size(tmp_path: Path) -> None:
    folder = write_catalogue(tmp_path / "models")
    maker = PropMaker(usable_models(folder, "train"), ModelStore(tmp_path / "cache"), Surfaces())
    kinds = set()
    rng = np.random.default_rng(0)
    for prop in [prop for _ in range(5) for prop in maker.draw(rng, 24)]:
        kinds.add(prop.category)
        assert 0.02 < np.ptp(prop.points(), axis=0).max() < 0.6
        assert len({id(look) for _, _, look in prop.parts}) == len(prop.parts) or (
            prop.category.startswith("Test#")
        )
        for mesh, normals, look in prop.parts:
            assert normals.shape == (len(mesh.faces), 3, 3)
            assert np.allclose(np.linalg.norm(normals, axis=2), 1)
            assert 0 <= look.colour.min() <= look.colour.max() <= 1
    assert {"Test#box", "Test#ell"} <= kinds
    assert "Test#rug" not in kinds  # too flat
    assert len(kinds) > 25
    assert len(kinds & {"pen", "marker", "fork", "spoon", "pliers", "scissors", "cable"}) >= 4


def test_the_share_of_slender_things_can_be_asked_for(tmp_path: Path) -> None:
    folder = write_catalogue(tmp_path / "models")
    models, store = usable_models(folder, "train"), ModelStore(tmp_path / "cache")
    drawn = {}
    for share in (0.0, 1.0):
        maker = PropMaker(models, store, Surfaces(), share)
        drawn[share] = {prop.category for prop in maker.draw(np.random.default_rng(0), 40)}
    assert not drawn[0.0] & drawn[1.0]
    assert "Test#box" in drawn[0.0]
    assert drawn[1.0] & {"pen", "marker", "fork", "spoon", "pliers", "scissors", "cable"}
    with pytest.raises(InvalidInputError, match=r"slender: .*\[0, 1\], got 1\.5"):
        SceneRun(models=folder, slender=1.5)


def test_patches_that_look_the_same_all_over_are_chosen(tmp_path: Path) -> None:
    """One half of the photo is a fine weave, the other a large disc."""
    rng = np.random.default_rng(0)
    image = np.full((200, 400, 3), 128, np.uint8)
    image[:, :200] = rng.integers(100, 156, (200, 200, 1))
    cv2.circle(image, (300, 100), 60, (0, 0, 250), -1)
    cv2.imwrite(str(tmp_path / "half.png"), image)
    surfaces = Surfaces([tmp_path / "half.png"])
    patches = [surfaces.material(np.random.default_rng(s), 32) for s in range(10)]
    assert all((patch[:, :16] == patch[:, :15:-1]).all() for patch in patches)
    quarters = [patch.reshape(4, 8, 4, 8, 3).mean(axis=(1, 3)) for patch in patches]
    assert sum(np.ptp(parts, axis=(0, 1)).max() < 60 for parts in quarters) >= 8


def test_camera_effects_are_mild() -> None:
    y, x = np.mgrid[0:240, 0:320]
    image = np.stack([y % 200 + 30, x % 180 + 40, (x + y) % 150 + 50], axis=2)
    linear = ((image / 255) ** 2.2).astype(np.float32)
    for seed in range(20):
        worse = camera_effects(linear, np.random.default_rng(seed))
        assert worse.shape == image.shape
        assert worse.dtype == np.uint8
        assert (worse == camera_effects(linear, np.random.default_rng(seed))).all()
        assert np.corrcoef(worse.ravel(), image.ravel())[0, 1] > 0.7
        assert 30 < worse.mean() < 225
