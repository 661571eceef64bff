# SPDX-License-Identifier: Apache-2.0
"""Light from all around: where it comes from, how strong it is, and what is mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.rendering.environment import (
    SIDE,
    load_panorama,
    look_up,
    make_environment,
    studio_panorama,
)

GROUND = np.array([0.2, 0.3, 0.4], np.float32)


def white_room_with_lamp(row: int, column: int) -> np.ndarray:
    panorama = np.ones((64, 128, 3), np.float32)
    panorama[row : row + 2, column : column + 2] = (4000, 2000, 1000)
    return panorama


def test_the_sun_is_where_the_lamp_is() -> None:
    environment = make_environment(white_room_with_lamp(16, 32), 0.0, GROUND)
    # Row 16 of 64 is 45 degrees up; column 32 of 128 is 90 degrees round, at +y.
    assert np.allclose(environment.sun, (0, 0.7, 0.7), atol=0.12)
    red, green, blue = environment.sun_radiance
    assert red > 1.7 * green > 2.5 * blue
    turned = make_environment(white_room_with_lamp(16, 32), 90.0, GROUND)
    assert np.allclose(turned.sun, (-0.7, 0, 0.7), atol=0.12)
    stronger = make_environment(white_room_with_lamp(16, 32), 0.0, GROUND, contrast=3.0)
    up = np.array([[0, 0, 1]], np.float32)
    first, second = (
        e.sun_radiance.mean() / look_up(e.irradiance, up).mean() for e in (environment, stronger)
    )
    assert second == pytest.approx(3 * first, rel=0.1)


def test_every_light_is_about_as_strong() -> None:
    for seed in range(4):
        panorama = studio_panorama(np.random.default_rng(seed)) * 10.0**seed
        environment = make_environment(panorama, 0.0, GROUND)
        up = np.array([[0, 0, 1]], np.float32)
        level = look_up(environment.irradiance, up)[0]
        level = level + environment.sun_radiance * environment.sun[2]
        assert level.mean() == pytest.approx(0.75, rel=0.2)


def test_mirrors_show_the_room_above_and_the_ground_below() -> None:
    panorama = np.ones((64, 128, 3), np.float32)
    panorama[:32, :64] = (3, 1, 1)  # upper half, y > 0
    environment = make_environment(panorama, 0.0, GROUND)
    ways = np.array([[0.75, 0.25, 0.6], [0.75, -0.25, 0.6], [0, 0.6, -0.8]], np.float32)
    front, back, below = look_up(environment.mirrors, ways, np.zeros(3, np.float32))
    assert front[0] / front[1] == pytest.approx(3, rel=0.1)
    assert back[0] / back[1] == pytest.approx(1, rel=0.1)
    assert below[2] > below[0]
    blurred = look_up(environment.mirrors, ways, np.full(3, 3, np.float32))
    assert blurred[0, 0] - blurred[1, 0] < 0.8 * (front[0] - back[0])
    assert environment.mirrors.shape == (4 * SIDE, SIDE, 3)


def test_a_scene_without_a_shiny_pixel_mirrors_nothing() -> None:
    squares = np.ones((SIDE, SIDE, 3), np.float32)
    assert look_up(squares, np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_a_panorama_is_seen_where_it_lies() -> None:
    environment = make_environment(white_room_with_lamp(16, 32), 0.0, GROUND)
    ways = np.array([[[0, 1, 1], [0, -1, 1]]], np.float32) / np.sqrt(np.float32(2))
    bright, dark = environment.towards(ways)[0]
    assert bright[0] > 20 * dark[0]


def test_maps_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", radiance=np.full((4, 8, 3), 2, np.float16))
    panorama = load_panorama(tmp_path / "a.npz")
    assert panorama.dtype == np.float32
    assert (panorama == 2).all()
