# SPDX-License-Identifier: Apache-2.0
"""The transition `shutdown`, from every state and twice; the process still obeys signals."""

from __future__ import annotations

import pytest
from lifecycle_msgs.msg import Transition

CONFIGURE = Transition.TRANSITION_CONFIGURE
ACTIVATE = Transition.TRANSITION_ACTIVATE
SHUTDOWNS = {
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: [],
    Transition.TRANSITION_INACTIVE_SHUTDOWN: [CONFIGURE],
    Transition.TRANSITION_ACTIVE_SHUTDOWN: [CONFIGURE, ACTIVATE],
}
AFTERWARDS = (
    CONFIGURE,
    ACTIVATE,
    Transition.TRANSITION_DEACTIVATE,
    Transition.TRANSITION_CLEANUP,
)


@pytest.mark.parametrize("shutdown", SHUTDOWNS)
def test_shutdown_twice_and_nothing_after_it(start, camera, shutdown):
    process = start(autostart=False)
    for transition in SHUTDOWNS[shutdown]:
        assert camera.change_state(transition)
    assert camera.change_state(shutdown)
    for transition in (shutdown, *AFTERWARDS):
        assert not camera.change_state(transition)
    code, seconds = process.end()
    assert code == 0, process.output
    assert seconds < 2.0
