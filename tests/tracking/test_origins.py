# SPDX-License-Identifier: Apache-2.0
"""What is joined to an object, or is another one like it, is not the object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.appearance import Likeness
from amodal_ros.tracking.forecast import Forecast, forecast
from amodal_ros.tracking.look_memory import Memory
from amodal_ros.tracking.origins import is_rather, joined_thing
from amodal_ros.tracking.scene import SceneMotion
from amodal_ros.tracking.track import IDENTITY, Track
from amodal_ros.types import AmodalPrediction, Detections
from tests.tracking import test_appearance as looks
from tests.tracking.test_tracker_looks import AT, HW, OBJECT, TABLE, Scene, moved, predicted
from tests.tracking.tracker_support import Box, filled

TWIN = moved(AT, 26)


def mask(box: Box) -> CroppedMask:
    return CroppedMask.of(filled(box, HW))


def joined(
    vector: np.ndarray,
    others: Sequence[CroppedMask] = (),
    *,
    believed: bool = False,
) -> CroppedMask | None:
    """What is cut off a mask of the object and of a thing above it, as large as half of it.

    Args:
        vector: the thing's embedding.
        others: what is expected of other objects.
        believed: the object was believed to go on there, hidden.
    """
    above = (40, 20, 60, 30)
    around = looks.surroundings({looks.BOX: OBJECT, above: vector})
    likeness = Likeness.of(around, looks.known())
    assert likeness is not None
    seen = looks.mask(looks.BOX)
    both = seen | looks.mask(above)
    track = Track(0, "", "", 1.0, 0.0, 0.0, np.array(looks.BOX, float), seen=seen)
    track.shape, track.evidence = both if believed else seen, float(seen.area)
    one = forecast(track, SceneMotion.unknown(), IDENTITY, 0.1, looks.HW)
    return joined_thing(one, both, likeness, others)


def test_what_is_joined_to_an_object_and_unlike_it_is_cut_off() -> None:
    found = joined(looks.HAND)
    assert found is not None
    assert found.share_in(looks.mask((40, 20, 60, 30))) == 1
    assert found.area >= 150
    assert joined(OBJECT) is None  # a part of it that shows up


def test_a_new_part_where_another_object_is_expected_is_cut_off() -> None:
    assert joined(OBJECT, [looks.mask((38, 10, 62, 30))]) is not None


def test_what_comes_out_where_a_hidden_part_was_believed_must_look_like_the_object() -> None:
    assert joined(looks.HAND, believed=True) is not None
    assert joined(OBJECT, believed=True) is None


def test_of_two_lost_things_alike_the_nearer_one_is_found() -> None:
    """One rested, the other went to the left when it was seen last, 0.2 s before."""
    around = looks.surroundings({looks.BOX: OBJECT})
    likeness, found = Likeness.of(around, looks.known()), looks.mask(looks.BOX)
    assert likeness is not None

    def lost(place: Box, since_s: float, vector: np.ndarray | None = OBJECT) -> Forecast:
        track = Track(0, "", "", 1.0, 0.0, -since_s, np.array(place, float))
        track.shape, track.missed = looks.mask(place), 2
        if vector is not None:
            look = looks.surroundings({looks.BOX: vector}).look(found)
            track.memory = None if look is None else Memory.of(look)
        return forecast(track, SceneMotion.unknown(), IDENTITY, 0.0, looks.HW)

    near, far = moved(looks.BOX, 10), moved(looks.BOX, -30)
    rested, gone = lost(far, 0.1), lost(near, 0.3)
    assert is_rather(rested, found, likeness, [gone], 0.0)
    assert not is_rather(gone, found, likeness, [rested], 0.0)
    assert not is_rather(rested, found, likeness, [lost(far, 0.05)], 0.0)  # as far, in less time
    assert not is_rather(rested, found, likeness, [lost(near, 0.3, looks.HAND)], 0.0)  # unlike
    assert not is_rather(rested, found, likeness, [lost(near, 0.3, None)], 0.0)
    gone.track.seen = found
    seen = forecast(gone.track, SceneMotion.unknown(), IDENTITY, 0.0, looks.HW)
    assert not is_rather(rested, found, likeness, [seen], 0.0)  # it is not lost


def test_a_lost_object_is_not_found_at_the_place_of_another_lost_one_like_it() -> None:
    """The model shows the other one in its wide prompt, and a hand in the other's own."""
    gone = moved(AT, 60)
    for objects, taken in (([AT, gone], False), ([AT], True)):
        scene = Scene()
        for box in objects:
            scene.tracker.add_object(box)
        for _ in range(3):
            scene.show([(AT, OBJECT), (gone, OBJECT)])
        for _ in range(2):  # hands come before both
            scene.show([((50, 30, 90, 80), looks.HAND), ((110, 30, 150, 80), looks.HAND)])
        plan = scene.tracker.plan(Detections.empty(), 0.6, HW)
        masks = np.stack([filled(box, HW) for box in [gone, (110, 30, 118, 80)][: len(objects)]])
        picture = np.broadcast_to(TABLE, (*HW, 8)).copy()
        for (x0, y0, x1, y1), vector in (((50, 30, 90, 80), looks.HAND), (gone, OBJECT)):
            picture[y0:y1, x0:x1] = vector
        features = predicted(plan.boxes_xyxy, picture, np.zeros(HW, int)).features
        answer = AmodalPrediction.from_masks(
            masks, masks, np.full(len(masks), 0.9, np.float32), {}, features
        )
        found = scene.tracker.update(plan, answer)
        assert found[0].coasting != taken
