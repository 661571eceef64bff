# SPDX-License-Identifier: Apache-2.0
"""Colours of objects in a picture larger than its thumbnail."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.colours import colour_margin, colours_in, colours_of, shared_colours
from amodal_ros.tracking.scene import SceneView

HW = (720, 1280)
LEFT, RIGHT = (100, 200, 300, 400), (700, 200, 900, 400)


def mask(box: tuple[int, int, int, int]) -> CroppedMask:
    return CroppedMask.filled(HW, box)


def scene(left: tuple[int, int, int], right: tuple[int, int, int]) -> SceneView:
    image = np.full((*HW, 3), 128, np.uint8)
    for (x0, y0, x1, y1), colour in ((LEFT, left), (RIGHT, right)):
        image[y0:y1, x0:x1] = colour
    return SceneView.of(image)


def test_shadow_leaves_the_colours_and_another_colour_shares_few() -> None:
    view = scene((250, 210, 20), (150, 126, 12))
    yellow, shaded = colours_of(view, mask(LEFT)), colours_of(view, mask(RIGHT))
    assert yellow is not None
    assert shaded is not None
    assert yellow.sum() == pytest.approx(1)
    assert shared_colours(yellow, shaded) > 0.3
    red = colours_of(scene((200, 10, 40), (0, 0, 0)), mask(LEFT))
    assert shared_colours(yellow, red) < 0.05


def test_only_what_the_mask_covers_counts() -> None:
    view = scene((250, 210, 20), (200, 10, 40))
    both = mask(LEFT) | mask(RIGHT)
    found = colours_of(view, both)
    assert shared_colours(found, colours_of(view, mask(LEFT))) == pytest.approx(0.5, abs=0.05)
    assert shared_colours(found, colours_of(view, mask(RIGHT))) == pytest.approx(0.5, abs=0.05)


def test_hardly_a_pixel_has_no_colours_and_says_nothing() -> None:
    view = scene((250, 210, 20), (200, 10, 40))
    assert colours_of(view, mask((100, 200, 106, 206))) is None
    assert colours_of(view, CroppedMask.empty(HW)) is None
    assert shared_colours(None, colours_of(view, mask(LEFT))) == 1.0


def test_cells_with_colours_of_the_object_alone_are_told_from_what_is_beside_it() -> None:
    view = scene((200, 10, 40), (250, 210, 20))
    red, yellow = colours_of(view, mask(LEFT)), colours_of(view, mask(RIGHT))
    assert red is not None
    assert yellow is not None
    around = np.array((-100.0, 0.0, 1300.0, 800.0))  # leaves the image; cells of 100 pixels
    margin = colour_margin(view, red, yellow, around, (8, 14))
    assert margin[2:4, 2:4].min() > 0.8
    assert margin[2:4, 8:10].max() < -0.8
    assert np.abs(margin[:2]).max() < 0.05  # grey: neither has it


def test_colours_that_object_and_surroundings_share_tell_nothing() -> None:
    view = scene((200, 10, 40), (250, 210, 20))
    both = colours_of(view, mask(LEFT) | mask(RIGHT))
    red = colours_of(view, mask(LEFT))
    assert both is not None
    assert red is not None
    margin = colour_margin(
        view, both, (0.9 * both + 0.1 * red), np.array((0, 0, 1280, 720.0)), (9, 16)
    )
    assert not margin.any()


def test_colours_of_cells_are_those_of_the_pixels_under_them() -> None:
    view = scene((200, 10, 40), (250, 210, 20))
    cells = np.zeros((8, 14), bool)
    cells[2:4, 2:4] = True
    found = colours_in(view, cells, np.array((-100.0, 0.0, 1300.0, 800.0)))
    assert shared_colours(found, colours_of(view, mask(LEFT))) > 0.95
    assert colours_in(view, cells, np.array((2000.0, 0.0, 3400.0, 800.0))) is None
