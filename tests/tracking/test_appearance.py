# SPDX-License-Identifier: Apache-2.0
"""What an object looks like, from embeddings made of colours."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.object_features import ObjectFeatures
from amodal_ros.tracking.appearance import Likeness
from amodal_ros.tracking.like_cells import places_of, reach_of
from amodal_ros.tracking.look_memory import Memory
from amodal_ros.tracking.scene import SceneView
from amodal_ros.tracking.surroundings import Surroundings
from tests.tracking.tracker_support import Box, filled

HW = (80, 120)
OBJECT, TABLE, HAND = np.eye(8, dtype=np.float32)[:3]
BOX = (40, 30, 60, 50)


def mask(box: Box) -> CroppedMask:
    return CroppedMask.of(filled(box, HW))


def surroundings(
    things: dict[tuple[int, int, int, int], np.ndarray],
    box: tuple[int, int, int, int] = BOX,
    shared: bool = False,
    scene: SceneView | None = None,
) -> Surroundings:
    """About a box, of a picture of a table with things on it; 20 x 20 cells in a region."""
    image = np.broadcast_to(TABLE, (*HW, 8)).copy()
    for (x0, y0, x1, y1), vector in things.items():
        image[y0:y1, x0:x1] = vector
    if shared:
        geometry = ResizeGeometry.letterbox(HW, 240)
        values = np.zeros((1, 8, 60, 60), np.float32)
        values[0, :, :40] = image[::2, ::2].transpose(2, 0, 1)
    else:
        side = 2.0 * max(box[2] - box[0], box[3] - box[1])
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        region = [middle[0] - side / 2, middle[1] - side / 2, middle[0] + side / 2]
        geometry = ResizeGeometry.roi(HW, [*region, middle[1] + side / 2], 40)
        x0, y0, x1, y1 = geometry.source_xyxy
        padded = np.pad(image, ((40, 40), (40, 40), (0, 0)))[y0 + 40 : y1 + 40, x0 + 40 : x1 + 40]
        step = len(padded) // 20
        values = padded[::step, ::step][:20, :20].transpose(2, 0, 1)[None].copy()
    noise = np.random.default_rng(0).normal(0, 0.05, values.shape).astype(np.float32)
    features = ObjectFeatures(values + noise, (geometry,))
    found = Surroundings.of(features, 0, np.array(box, float), scene)
    assert found is not None
    return found


def known(shared: bool = False) -> Memory:
    around = surroundings({BOX: OBJECT}, shared=shared)
    look = around.look(mask(BOX))
    assert look is not None
    return Memory.of(look)


@pytest.mark.parametrize("shared", [False, True])
def test_object_is_known_wherever_it_is_and_its_occluder_is_not(shared: bool) -> None:
    memory = known(shared)
    moved = (46, 34, 66, 54)
    around = surroundings({moved: OBJECT}, shared=shared)
    likeness = Likeness.of(around, memory)
    assert likeness is not None
    assert likeness.shows(mask(moved))
    assert likeness.shows(mask((46, 34, 56, 54)))  # a part
    assert not likeness.shows(mask((20, 10, 46, 34)))  # the table
    assert not likeness.shows(CroppedMask.empty(HW))
    hidden = Likeness.of(surroundings({BOX: HAND}, shared=shared), memory)
    assert hidden is not None
    assert not hidden.shows(mask(BOX))


def test_what_all_cells_have_in_common_makes_nothing_alike() -> None:
    common = 3 * np.eye(8, dtype=np.float32)[5]
    first = surroundings({(0, 0, *HW[::-1]): TABLE + common, BOX: OBJECT + common})
    known_look = first.look(mask(BOX))
    now = surroundings({(0, 0, *HW[::-1]): TABLE + common, BOX: HAND + common})
    look = now.look(mask(BOX))
    assert known_look is not None
    assert look is not None
    memory = Memory.of(known_look)
    assert float(memory.first.on @ look.on) < 0.6
    hidden, seen = Likeness.of(now, memory), Likeness.of(first, memory)
    assert hidden is not None
    assert seen is not None
    assert not hidden.shows(mask(BOX))
    assert seen.shows(mask(BOX))


def test_a_thing_like_it_beside_it_does_not_say_what_it_is_not() -> None:
    around = surroundings({BOX: OBJECT, (62, 22, 72, 60): OBJECT})
    look = around.look(mask(BOX))
    assert look is not None
    assert (look.off @ look.on).max() < 0
    likeness = Likeness.of(around, Memory.of(look))
    assert likeness is not None
    assert likeness.share(mask(BOX)) > 0.9
    assert likeness.shows(mask(BOX))


def test_a_mask_that_takes_in_something_else_is_not_learnt() -> None:
    memory, hand = known(), (40, 42, 60, 50)
    likeness = Likeness.of(surroundings({BOX: OBJECT, hand: HAND}), memory)
    assert likeness is not None
    assert likeness.share(mask(BOX)) == pytest.approx(0.6, abs=0.1)
    assert likeness.learnt(mask(BOX), 1) is memory
    assert likeness.learnt(mask((40, 30, 60, 42)), 1) is not memory


def test_other_colours_are_another_thing_whatever_the_embeddings_say() -> None:
    memory = in_colour(255, 220, 0)
    for colour, shows in (((190, 160, 10), True), ((200, 0, 40), False)):
        around = surroundings({BOX: OBJECT}, scene=painted(colour))
        likeness = Likeness.of(around, memory)
        assert likeness is not None
        assert likeness.shows(mask(BOX)) is shows
    unknown = Likeness.of(surroundings({BOX: OBJECT}), memory)
    assert unknown is not None
    assert unknown.shows(mask(BOX))


def test_more_is_asked_of_what_may_be_a_lost_object() -> None:
    for vector, lost in ((OBJECT, True), (0.5 * OBJECT + HAND, False)):
        likeness = Likeness.of(surroundings({BOX: vector}), known())
        assert likeness is not None
        assert likeness.shows(mask(BOX))
        assert likeness.shows(mask(BOX), lost=True) is lost


def test_cells_of_another_colour_are_not_like_the_object_though_embeddings_are() -> None:
    hand, alike = (40, 30, 60, 40), OBJECT + 0.4 * HAND
    picture = np.full((*HW, 3), 128, np.uint8)
    picture[30:50, 40:60], picture[30:40, 40:60] = (200, 20, 40), (220, 170, 140)
    for scene, shares in ((None, True), (SceneView.of(picture), False)):
        likeness = Likeness.of(
            surroundings({BOX: OBJECT, hand: alike}, scene=scene),
            in_colour(200, 20, 40, beside=(220, 170, 140)),
        )
        assert likeness is not None
        assert (likeness.share(mask(hand)) > 0.5) is shares
        assert likeness.share(mask((40, 41, 60, 50))) > 0.8


def test_what_hid_an_object_is_another_thing() -> None:
    """A finger that shows up beside it later is like the block, but more like the hand."""
    finger = Likeness.of(surroundings({BOX: 0.5 * OBJECT + HAND}), known())
    assert finger is not None
    assert finger.shows(mask(BOX))
    hidden = surroundings({BOX: HAND - 0.5 * OBJECT}).look(mask(BOX))
    assert hidden is not None
    told = Likeness.of(finger.surroundings, known().behind(hidden))
    assert told is not None
    assert not told.shows(mask(BOX))
    seen = Likeness.of(surroundings({BOX: OBJECT}), known().behind(hidden))
    assert seen is not None
    assert seen.shows(mask(BOX), lost=True)
    twin = surroundings({BOX: OBJECT + 0.1 * HAND}).look(mask(BOX))
    assert twin is not None
    memory = known()
    assert memory.behind(twin) is memory  # it may be the object itself


def test_colours_do_not_find_a_lost_object() -> None:
    """A hand has the colour of the block that it covers, and none of the mat around it has."""
    wood = (200, 120, 40)
    around = surroundings({BOX: OBJECT + 6 * HAND}, scene=painted(wood))
    likeness = Likeness.of(around, in_colour(*wood))
    assert likeness is not None
    assert likeness.share(mask(BOX)) > 0.9
    assert likeness.share(mask(BOX), lost=True) < 0.2
    assert not places_of(likeness)


def painted(
    colour: tuple[int, int, int],
    around: tuple[int, int, int] = (128, 128, 128),
    beside: tuple[int, int, int] | None = None,
) -> SceneView:
    """A picture of one colour with a thing of another, and one more beside it."""
    image = np.full((*HW, 3), around, np.uint8)
    if beside is not None:
        image[30:50, 62:70] = beside
    image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = colour
    return SceneView.of(image)


def in_colour(
    red: int,
    green: int,
    blue: int,
    around: tuple[int, int, int] = (128, 128, 128),
    beside: tuple[int, int, int] | None = None,
) -> Memory:
    scene = painted((red, green, blue), around, beside)
    look = surroundings({BOX: OBJECT}, scene=scene).look(mask(BOX))
    assert look is not None
    return Memory.of(look)


def test_cover_is_the_share_of_each_cell_also_beyond_the_image() -> None:
    around = surroundings({}, box=(100, 60, 120, 80))
    cover = around.cover(mask((100, 60, 120, 80)))
    assert float(cover.sum() * around.cell_px.prod()) == pytest.approx(400, rel=0.02)
    assert 0.4 < around.inside.mean() < 0.7  # the rest lies outside


def test_places_are_where_cells_look_like_it() -> None:
    second = (32, 22, 40, 34)
    around = surroundings({(50, 36, 66, 54): OBJECT, second: OBJECT, (60, 22, 70, 30): HAND})
    likeness = Likeness.of(around, known())
    assert likeness is not None
    places = [box.round().astype(int).tolist() for box in places_of(likeness)]
    assert sorted(places) == [list(second), [50, 36, 66, 54]]


def test_a_mask_that_was_cut_off_reaches_to_what_is_joined_to_it() -> None:
    around = surroundings({(40, 30, 66, 50): OBJECT, (32, 22, 36, 58): OBJECT})
    likeness = Likeness.of(around, known())
    assert likeness is not None
    assert reach_of(likeness, mask((44, 32, 52, 48))).tolist() == [40, 30, 66, 50]
    assert not reach_of(likeness, mask((60, 52, 68, 58))).any()


def test_memory_keeps_the_first_view_and_follows_slowly() -> None:
    memory = known()
    other = surroundings({BOX: 0.8 * OBJECT + 0.6 * HAND})
    look = other.look(mask(BOX))
    assert look is not None
    once = memory.after(look)
    assert once.first is memory.first
    before = float(memory.recent.on @ look.on)
    assert before < float(once.recent.on @ look.on) < 1 - 0.5 * (1 - before)
    thrice = memory.after(look).after(look).after(look)
    assert np.allclose(memory.after(look, 3).recent.on, thrice.recent.on, atol=0.02)
    many = once
    for _ in range(20):
        many = many.after(look)
    assert float(many.recent.on @ look.on) > 0.99


def test_a_view_unlike_the_first_is_not_learnt() -> None:
    memory = known()
    other = surroundings({BOX: HAND})
    look = other.look(mask(BOX))
    assert look is not None
    assert memory.after(look) is memory


def test_what_is_around_is_told_apart_by_side() -> None:
    around = surroundings({(30, 20, 70, 30): HAND, BOX: OBJECT})
    look = around.look(mask(BOX))
    assert look is not None
    above, below, left, right = look.off
    assert float(above @ HAND) > 0.75
    assert max(float(side @ HAND) for side in (below, left, right)) < 0


def test_without_features_nothing_can_be_said() -> None:
    assert Surroundings.of(None, 0, np.array(BOX)) is None
    assert Likeness.of(None, known()) is None
    assert Likeness.of(surroundings({}), None) is None
