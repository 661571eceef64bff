# SPDX-License-Identifier: Apache-2.0
"""Masks are the geometry's own: a ball is a disc of known size, hidden where a board is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CENTRE = (239.5, 319.5)
FOCAL_PX = 240 / np.tan(np.radians(22.5))

pytestmark = pytest.mark.rendering


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory, repository_root: Path) -> dict:
    path = tmp_path_factory.mktemp("painter") / "out.npz"
    command = [sys.executable, "-m", "tests.training.scenes.painter_probe", str(path)]
    subprocess.run(command, cwd=repository_root, check=True, timeout=300)
    with np.load(path) as arrays:
        return dict(arrays)


def distance_px() -> np.ndarray:
    y, x = np.mgrid[0:480, 0:640]
    return np.hypot(y - CENTRE[0], x - CENTRE[1])


def test_the_amodal_mask_is_the_whole_disc(painted: dict) -> None:
    radius = FOCAL_PX * np.tan(np.arcsin(0.1 / 1.0))
    ball = painted["amodal"][0]
    assert ball[distance_px() < radius - 1.5].all()  # the ball is a polyhedron
    assert not ball[distance_px() > radius + 0.8].any()
    assert ball.sum() == pytest.approx(np.pi * radius**2, rel=0.02)


def test_the_visible_mask_ends_at_the_board(painted: dict) -> None:
    visible, amodal = painted["visible"], painted["amodal"]
    # The board's near side is at x = -0.205; its left edge at y = 0 is the picture's middle.
    assert (visible[1] == amodal[1]).all()
    columns = np.flatnonzero(amodal[1].any(axis=0))
    assert columns[0] == 320
    assert columns[-1] == pytest.approx(319.5 + FOCAL_PX * 0.2 / 0.795, abs=1)
    assert (visible[0] == (amodal[0] & ~amodal[1])).all()
    assert visible[0].sum() == pytest.approx(amodal[0].sum() / 2, rel=0.03)


def test_the_picture_shows_what_the_masks_say(painted: dict) -> None:
    image, visible = painted["image"].astype(int), painted["visible"]
    inner = distance_px() < 40
    red, blue = (image[..., k] - image[..., 2 - k] for k in (0, 2))
    assert (red[visible[0] & inner] > 20).mean() > 0.95
    assert (blue[visible[1] & inner] > 20).mean() > 0.95
    # Outlines are averaged: between ball and board there are mixed pixels.
    assert image.shape == (480, 640, 3)


def test_more_parts_than_a_byte_can_number(painted: dict) -> None:
    """301 parts: the ball is the last, and its mask is what it is in the small scene."""
    assert (painted["many_amodal"][-1] == painted["amodal"][0]).all()
    assert (painted["many_amodal"][0] == painted["amodal"][1]).all()
    assert all(mask.any() for mask in painted["many_amodal"])


def test_normals_and_depths_are_the_ball_s(painted: dict) -> None:
    on_ball = painted["on_ball"]
    assert on_ball.sum() == pytest.approx(painted["amodal"][0].sum() / 4, rel=0.03)
    away = painted["points"][on_ball] - (0, 0, 0.1)
    assert np.linalg.norm(away, axis=1) == pytest.approx(0.1, abs=0.002)
    cosine = np.einsum("pc,pc->p", painted["normal"][on_ball], away / 0.1)
    assert np.percentile(cosine, 5) > 0.99


def test_light_comes_from_one_side_and_casts_a_shadow(painted: dict) -> None:
    on_ball, points = painted["on_ball"], painted["points"]
    level = painted["arriving"].mean(axis=2)
    towards = np.array([0, 0.5, 0.87])
    facing = painted["normal"] @ towards
    assert level[on_ball & (facing > 0.8)].mean() > 4 * level[on_ball & (facing < -0.3)].mean()
    on_table = ~on_ball & (abs(points[..., 2]) < 0.002)
    # The shadow lies opposite to the light, 0.1 m / tan(60 degrees) and more from the middle.
    behind = on_table & (np.hypot(points[..., 0], points[..., 1] + 0.06) < 0.05)
    free = on_table & (np.hypot(points[..., 0], points[..., 1] - 0.25) < 0.05)
    assert behind.sum() > 20
    assert free.sum() > 20
    assert level[behind].mean() < 0.4 * level[free].mean()
    assert painted["sky"][behind].mean() < painted["sky"][free].mean()
