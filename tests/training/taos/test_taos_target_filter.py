# SPDX-License-Identifier: Apache-2.0
"""Targets that are themselves cut are refused: hand-made cases."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.taos.config import TaosConfig
from training.taos.target_filter import cheap_reason, is_thin, mask_reason, smallest_target
from training.taos.types import Photo, PhotoObject

HW = (200, 300)
CONFIG = TaosConfig()


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def disc(x: int, y: int, radius: int) -> np.ndarray:
    return cv2.circle(np.zeros(HW, np.uint8), (x, y), radius, 1, -1).astype(bool)


def thing(mask: np.ndarray) -> PhotoObject:
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    corners = (float(x), float(y), float(x + w), float(y + h))
    return PhotoObject("1", corners, float(mask.sum()), "", lambda hw: mask)


def reason(*masks: np.ndarray, background_annotated: bool = False) -> str:
    """Verdict on the first mask, the others being its neighbours."""
    objects = tuple(thing(mask) for mask in masks)
    photo = Photo(
        "r", HW, HW, lambda: np.zeros((*HW, 3), np.uint8), objects, background_annotated, {}
    )
    found = cheap_reason(photo, objects[0], CONFIG)
    return found or mask_reason(photo, objects[0], masks[0], CONFIG)


def test_a_whole_object_passes() -> None:
    assert reason(disc(150, 100, 40)) == ""
    assert reason(disc(150, 100, 40), disc(230, 100, 30)) == ""  # a neighbour at a distance


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (disc(150, 100, 10), "target_small"),
        (box(10, 10, 290, 190), "target_large"),
        (box(0, 50, 60, 120), "target_at_border"),
        (box(100, 140, 180, 199), "target_at_border"),
        (box(60, 60, 100, 120) | box(150, 60, 190, 120), "target_in_pieces"),
        (box(60, 60, 160, 160) & ~box(85, 60, 135, 135), "target_not_solid"),
    ],
)
def test_shapes_that_are_refused(mask: np.ndarray, expected: str) -> None:
    assert reason(mask) == expected


def tongs() -> np.ndarray:
    """Two arms that meet: thin everywhere, and far from their hull."""
    drawn = np.zeros(HW, np.uint8)
    for end in ((250, 70), (250, 130)):
        cv2.line(drawn, (50, 100), end, 1, 7)
    return drawn.astype(bool)


def test_thin_things_may_be_small_and_bent() -> None:
    assert reason(tongs()) == ""
    assert reason(box(60, 98, 200, 103)) == ""  # 1.2 % of the picture
    assert reason(box(60, 60, 100, 80)) == "target_small"  # as small, but not thin
    assert reason(tongs() & ~box(100, 0, 140, 200)) == "target_in_pieces"
    board = np.zeros(HW, bool)
    board[75:125, 160:200] = True
    assert reason(tongs() & ~board, board) in ("target_bitten", "target_in_pieces")
    assert is_thin(tongs())
    assert not is_thin(disc(150, 100, 40))
    assert not is_thin(np.zeros(HW, bool))
    assert smallest_target(tongs(), CONFIG) == 0.002
    assert smallest_target(disc(150, 100, 40), CONFIG) == 0.02


def test_a_neighbour_that_touches() -> None:
    assert reason(box(100, 60, 160, 120), box(160, 60, 200, 120)) == "target_touched"
    assert reason(box(100, 60, 160, 120), box(162, 60, 200, 120)) == "target_touched"
    assert reason(box(100, 60, 160, 120), box(170, 60, 200, 120)) == ""


def test_a_neighbour_that_takes_a_bite() -> None:
    cup, hand = disc(150, 100, 45), disc(120, 75, 20)
    assert reason(cup & ~hand, hand) == "target_bitten"


def test_a_part_of_the_target_is_no_neighbour() -> None:
    assert reason(disc(150, 100, 45), disc(150, 100, 15)) == ""
    assert reason(disc(150, 100, 45), disc(150, 100, 60)) == ""  # nor the whole it is part of


def test_annotated_ground_is_no_occluder_where_ground_is_annotated() -> None:
    target, ground = disc(150, 90, 30), box(0, 95, 300, 200) & ~disc(150, 90, 30)
    assert reason(target, ground) == "target_bitten" or reason(target, ground) == "target_touched"
    assert reason(target, ground, background_annotated=True) == ""
