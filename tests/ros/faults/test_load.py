# SPDX-License-Identifier: Apache-2.0
"""More than the node can do: bursts of frames, and a thousand boxes."""

from __future__ import annotations

import numpy as np

from tests.ros.faults.fault_rig import BOX
from tests.ros.ros_rig import picture

MAX_OBJECTS = 8
PARAMETERS = {"max_objects": MAX_OBJECTS, "max_coast": 0.0}
BURST = 60
ENGINE_S = 0.2


def burst(rig):
    """Sixty frames without a pause; the last one must be answered. Returns its answers."""
    rig.camera.answers.clear()
    rgb = picture(240, 320)
    headers = [rig.camera.send(rgb, [BOX]) for _ in range(BURST)]
    rig.camera.wait_answer(headers[-1])
    stamps = [header.stamp for header in headers]
    return [stamps.index(stamp) for stamp in rig.answered()]


def flood(rig, bursts):
    """Bursts of which any frame may be lost on the way, as on a loaded machine."""
    rgb = picture(240, 320)
    for _ in range(bursts):
        rig.camera.answers.clear()
        for _ in range(BURST):
            rig.camera.send(rgb, [BOX])
        rig.camera.wait(lambda: rig.camera.answers, "any answer to a burst")
        rig.camera.spin_for(0.2)


def test_of_a_burst_the_newest_is_answered_and_none_waits(rig):
    rig.settle()
    before = rig.counters()
    rig.process.tell(f"delay {ENGINE_S}")
    answered = burst(rig)
    assert answered == sorted(answered)
    assert answered[-1] == BURST - 1
    # One frame may be in work, and one that was sent while the burst came in, before the newest.
    assert len(answered) <= 6
    rig.camera.spin_for(2.5 * ENGINE_S)
    assert [stamp for stamp in rig.answered()[len(answered) :]] == []
    rig.process.tell("delay 0")
    assert rig.gained(before).get("dropped_superseded", 0) <= BURST - len(answered)


def test_bursts_leave_the_memory_flat(rig):
    rig.process.tell("delay 0.02")
    flood(rig, 5)
    warm_mib = rig.process.rss_mib()
    flood(rig, 15)
    # 900 pictures of 0.2 MiB would be 200 MiB.
    assert rig.process.rss_mib() - warm_mib < max(4.0, 0.02 * warm_mib)


def test_a_thousand_boxes(rig):
    before = rig.counters()
    corners = np.random.default_rng(0).uniform(0, 100, (1000, 2))
    for _ in range(3):
        answer = rig.camera.ask(picture(), [(x, y, x + 15, y + 15) for x, y in corners])
        # The tracker may take boxes that overlap for one object.
        assert MAX_OBJECTS / 2 <= len(answer.masks) <= MAX_OBJECTS
    assert rig.other_losses(before) == {"boxes_surplus": 3 * (1000 - MAX_OBJECTS)}
    assert "992 of 1000 boxes left out: surplus" in rig.process.output
