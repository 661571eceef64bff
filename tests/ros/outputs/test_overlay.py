# SPDX-License-Identifier: Apache-2.0
"""The overlay: what is drawn where."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.outputs.overlay import PALETTE, draw_overlay, label_of, object_colour
from tests.ros.ros_rig import tracked_object

HW = (240, 320)


def rectangle(x0, y0, x1, y1):
    mask = np.zeros(HW, bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture
def grey() -> np.ndarray:
    return np.full((*HW, 3), 128, np.uint8)


def test_nothing_to_draw_gives_an_equal_copy(grey):
    drawn = draw_overlay(grey, [])
    np.testing.assert_array_equal(drawn, grey)
    assert drawn is not grey


def test_visible_is_tinted_hidden_is_hatched_the_rest_untouched(grey):
    before = grey.copy()
    tracked = tracked_object(rectangle(50, 100, 100, 200), rectangle(50, 100, 200, 200))
    drawn = draw_overlay(grey, [tracked]).astype(int)
    np.testing.assert_array_equal(grey, before)
    inside = (slice(110, 190), slice(55, 95))
    assert len(np.unique(drawn[inside].reshape(-1, 3), axis=0)) == 1
    expected = 0.55 * 128 + 0.45 * np.array(object_colour(1))
    np.testing.assert_allclose(drawn[110, 60], expected, atol=1)
    hidden = drawn[110:190, 110:190].reshape(-1, 3)
    colours, counts = np.unique(hidden, axis=0, return_counts=True)
    assert len(colours) == 2
    assert counts.min() / counts.sum() == pytest.approx(0.25, abs=0.03)
    assert (drawn[205:] == 128).all()
    assert (drawn[100:200, 205:] == 128).all()


def test_outline_has_the_objects_colour(grey):
    mask = rectangle(50, 100, 100, 200)
    drawn = draw_overlay(grey, [tracked_object(mask, mask, track_id=3)])
    assert tuple(drawn[150, 50]) == PALETTE[3]
    assert tuple(drawn[199, 75]) == PALETTE[3]


def test_an_object_at_every_border(grey):
    whole = np.ones(HW, bool)
    assert draw_overlay(grey, [tracked_object(whole, whole)]).shape == grey.shape
    corner = rectangle(319, 239, 320, 240)
    assert (draw_overlay(grey, [tracked_object(corner, corner)])[239, 319] != 128).any()


def test_an_empty_object_leaves_no_trace(grey):
    nothing = np.zeros(HW, bool)
    np.testing.assert_array_equal(draw_overlay(grey, [tracked_object(nothing, nothing)]), grey)


def test_a_tiny_picture():
    picture, mask = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), bool)
    assert draw_overlay(picture, [tracked_object(mask, mask)]).any()


def test_a_read_only_picture(grey):
    grey.flags.writeable = False
    mask = rectangle(10, 10, 60, 60)
    assert (draw_overlay(grey, [tracked_object(mask, mask)]) != grey).any()


def test_label():
    nothing = np.zeros(HW, bool)
    assert label_of(tracked_object(nothing, nothing)) == "#1 mug 0.88"
    unknown = tracked_object(nothing, nothing, track_id=-1, class_id="", coasting=True)
    assert label_of(unknown) == "0.88 coasting"
    assert label_of(tracked_object(nothing, nothing, class_id="Bär")) == "#1 B?r 0.88"


def test_another_size_is_refused(grey):
    mask = np.ones((240, 321), bool)
    with pytest.raises(InvalidInputError, match=r"mask \(240, 321\) on a picture \(240, 320\)"):
        draw_overlay(grey, [tracked_object(mask, mask)])


def test_a_track_keeps_its_colour_and_shares_it_with_none():
    colours = [object_colour(track_id) for track_id in range(200)]
    assert colours[: len(PALETTE)] == list(PALETTE)
    assert colours == [object_colour(track_id) for track_id in range(200)]
    assert len(set(colours)) > 190  # of 24 bits
    near = [
        np.abs(np.subtract(colours[k], colours[k + step])).max()
        for k in range(len(PALETTE), 100)
        for step in (1, 2, 3)
    ]
    assert min(near) > 60
    assert all(0 <= value <= 255 for colour in colours for value in colour)
