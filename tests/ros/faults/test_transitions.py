# SPDX-License-Identifier: Apache-2.0
"""Every lifecycle transition, twice, in any order, asked of a node in another process."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from lifecycle_msgs.msg import Transition

from tests.ros.faults.fault_rig import BOX
from tests.ros.ros_rig import picture

CONFIGURE = Transition.TRANSITION_CONFIGURE
CLEANUP = Transition.TRANSITION_CLEANUP
ACTIVATE = Transition.TRANSITION_ACTIVATE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE
NEXT = {
    ("unconfigured", CONFIGURE): "inactive",
    ("inactive", CLEANUP): "unconfigured",
    ("inactive", ACTIVATE): "active",
    ("active", DEACTIVATE): "inactive",
}
SHUTDOWNS_OF_OTHER_STATES = (
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    Transition.TRANSITION_INACTIVE_SHUTDOWN,
)


def walk(camera, state: str, transitions) -> str:
    """Ask for transitions; each succeeds exactly where the state allows it."""
    for transition in transitions:
        expected = NEXT.get((state, transition))
        assert camera.change_state(transition) == (expected is not None), (state, transition)
        state = expected or state
    return state


def go_active(rig, state: str) -> None:
    ways = {"active": [], "inactive": [ACTIVATE], "unconfigured": [CONFIGURE, ACTIVATE]}
    assert walk(rig.camera, state, ways[state]) == "active"
    rig.connect()


def test_every_order_with_each_transition_twice(rig):
    state = "active"
    for order in permutations((CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE)):
        state = walk(rig.camera, state, [t for t in order for _ in range(2)])
        assert rig.state() == state
    go_active(rig, state)


def test_a_random_walk_while_frames_come(rig):
    rng = np.random.default_rng(7)
    state = "active"
    for transition in rng.choice((CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE), 150):
        rig.camera.send(picture(), [BOX])
        state = walk(rig.camera, state, [int(transition)])
    go_active(rig, state)
    assert len(rig.camera.ask(picture(), [BOX]).masks) == 1


def test_shutdowns_that_belong_to_another_state_and_unknown_ones_are_refused(rig):
    for transition in (*SHUTDOWNS_OF_OTHER_STATES, 99, 0):
        for _ in range(2):
            assert not rig.camera.change_state(transition)
    assert rig.state() == "active"
