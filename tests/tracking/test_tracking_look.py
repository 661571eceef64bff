# SPDX-License-Identifier: Apache-2.0
"""Colours of what is visible of an object."""

from __future__ import annotations

import numpy as np

from amodal_ros.tracking.appearance import alike, look_of, remember_look
from amodal_ros.tracking.frame_motion import SceneView
from tests.tracking.tracker_support import filled

HW = (480, 640)
LEFT, RIGHT = filled((100, 100, 200, 300), HW), filled((400, 100, 500, 300), HW)


def view(left: tuple[int, int, int], right: tuple[int, int, int]) -> SceneView:
    image = np.full((*HW, 3), 120, np.uint8)
    image[LEFT], image[RIGHT] = left, right
    return SceneView.of(image)


def test_same_colours_are_alike_and_others_are_not() -> None:
    scene = view((200, 30, 30), (30, 60, 200))
    assert alike(look_of(scene, LEFT), look_of(scene, LEFT))
    assert not alike(look_of(scene, LEFT), look_of(scene, RIGHT))


def test_a_little_more_light_is_still_alike() -> None:
    """Also across the edge between two bins of the histogram."""
    for level in range(60, 200, 7):
        scene = view((level, 40, 40), (level + 12, 46, 46))
        assert alike(look_of(scene, LEFT), look_of(scene, RIGHT))


def test_look_is_a_histogram() -> None:
    look = look_of(view((200, 30, 30), (0, 0, 0)), LEFT)
    assert look is not None
    assert look.shape == (6, 6, 6)
    assert abs(look.sum() - 1) < 1e-5


def test_nothing_known_contradicts_nothing() -> None:
    scene = view((200, 30, 30), (30, 60, 200))
    known = look_of(scene, LEFT)
    assert look_of(None, LEFT) is None
    assert look_of(scene, filled((0, 0, 3, 3), HW)) is None
    assert look_of(scene, np.zeros(HW, bool)) is None
    assert alike(known, None)
    assert alike(None, known)


def test_look_follows_slowly() -> None:
    scene = view((200, 30, 30), (30, 60, 200))
    red, blue = look_of(scene, LEFT), look_of(scene, RIGHT)
    known = remember_look(None, red)
    assert known is red
    assert remember_look(known, None) is red
    assert alike(remember_look(known, blue), red)
    for _ in range(10):
        known = remember_look(known, blue)
    assert alike(known, blue)
    assert not alike(known, red)
