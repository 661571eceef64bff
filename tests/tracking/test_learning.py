# SPDX-License-Identifier: Apache-2.0
"""Sights that are learnt when somebody asks what an object looks like."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from amodal_ros.tracking.appearance import Likeness
from amodal_ros.tracking.learning import PendingMemory
from amodal_ros.tracking.look_memory import Memory
from amodal_ros.tracking.surroundings import Surroundings
from tests.tracking.test_appearance import BOX, HAND, OBJECT, known, mask, surroundings
from tests.tracking.test_tracker_looks import AT, Scene


def sight(turned: float) -> Surroundings:
    """The object, by so much turned towards another look."""
    turn = np.cos(turned) * OBJECT + np.sin(turned) * HAND
    return surroundings({BOX: turn.astype(np.float32)})


def like(memory: Memory, turned: float) -> float:
    look = sight(turned).look(mask(BOX))
    assert look is not None
    return float(memory.recent.on @ look.on)


def test_two_sights_are_learnt_one_after_the_other() -> None:
    memory = known()
    pending = PendingMemory.of(memory).after(sight(0.2), mask(BOX), 3)
    pending = pending.after(sight(0.4), mask(BOX), 3)
    expected = memory
    for turned in (0.2, 0.4):
        expected = Likeness(sight(turned), expected).learnt(mask(BOX), 3)
    assert np.array_equal(pending.now.recent.on, expected.recent.on)
    assert like(pending.now, 0.4) > like(memory, 0.4)
    assert pending.now is pending.now


def test_the_next_sight_stands_for_one_that_is_dropped() -> None:
    pending = PendingMemory.of(known())
    for turned in (0.1, 0.2, 0.4):
        pending = pending.after(sight(turned), mask(BOX), 3)
    expected = Likeness(sight(0.2), known()).learnt(mask(BOX), 6)
    expected = Likeness(sight(0.4), expected).learnt(mask(BOX), 3)
    assert np.array_equal(pending.now.recent.on, expected.recent.on)


def test_where_the_last_sight_shows_another_thing_the_one_before_is_learnt() -> None:
    memory = known()
    pending = PendingMemory.of(memory).after(sight(0.3), mask(BOX), 3)
    after = pending.after(surroundings({BOX: HAND}), mask(BOX), 3)
    assert like(after.now, 0.3) == pytest.approx(like(pending.now, 0.3))
    assert like(after.now, 0.3) > like(memory, 0.3)


def test_a_sight_that_is_learnt_at_once_replaces_those_that_wait() -> None:
    memory = known()
    pending = PendingMemory.of(memory).after(sight(0.1), mask(BOX), 3)
    at_once = pending.learnt(Likeness(sight(0.3), memory), mask(BOX), 3)
    expected = Likeness(sight(0.3), memory).learnt(mask(BOX), 6)
    assert at_once.waiting == ()
    assert np.array_equal(at_once.now.recent.on, expected.recent.on)
    hand = Likeness(surroundings({BOX: HAND}), memory)
    kept = pending.learnt(hand, mask(BOX), 3)
    assert len(kept.waiting) == 2


def test_one_that_was_asked_for_learns_nothing_twice() -> None:
    pending = PendingMemory.of(known()).after(sight(0.3), mask(BOX), 3)
    assert PendingMemory.of(pending) is pending
    learnt = pending.now
    assert PendingMemory.of(pending).before is learnt
    assert PendingMemory.of(pending).waiting == ()


def test_in_a_file_is_what_was_learnt_and_no_embeddings() -> None:
    pending = PendingMemory.of(known()).after(sight(0.3), mask(BOX), 3)
    kept = pickle.loads(pickle.dumps(pending))
    assert kept.waiting == ()
    assert np.array_equal(kept.now.recent.on, pending.now.recent.on)


def test_while_an_object_is_detected_only_sure_sights_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene, learnt = Scene(), []
    scene.show([(AT, OBJECT)], [AT])
    learn = Likeness.learnt
    monkeypatch.setattr(
        Likeness, "learnt", lambda *one: learnt.append(scene.stamp_s) or learn(*one)
    )
    for _ in range(19):
        scene.show([(AT, OBJECT)], [AT])
    assert learnt == []
    for _ in range(4):
        scene.show([(AT, OBJECT)], [AT])
    assert len(learnt) == 1  # two seconds have passed
    before = len(learnt)
    scene.show([(AT, OBJECT)], [AT])
    scene.show([(AT, OBJECT)])
    assert len(learnt) > before
