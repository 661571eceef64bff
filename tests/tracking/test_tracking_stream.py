# SPDX-License-Identifier: Apache-2.0
"""Whether a frame goes on from the last one: clocks that jump, streams that stood still."""

from __future__ import annotations

import logging

import pytest

from amodal_ros.tracking.stream import Stream
from amodal_ros.tracking.tracker import AmodalTracker, TrackerConfig
from amodal_ros.types import Detections
from tests.tracking.tracker_support import HW, A, B, answer, see, step

HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("gap_s", "max_coast", "torn"),
    [
        (4.9, 2.0, False),  # longer than twice max_coast, but engines and cameras stall so long
        (5.1, 2.0, True),
        (7.9, 4.0, False),
        (8.1, 4.0, True),
        (4.9, 0.0, False),
        (5.1, 0.0, True),
        (HOUR_S, 2.0, True),
        (HOUR_S, -1.0, False),  # tracks never end by age
    ],
)
def test_how_long_a_stream_may_stand_still(gap_s: float, max_coast: float, torn: bool) -> None:
    stream = Stream(stamp_s=100.0, answered_s=100.0, image_hw=HW)
    assert stream.is_torn(100.0 + gap_s, max_coast) is torn


def test_gap_is_counted_from_the_last_answer() -> None:
    """An engine that fails for long leaves nothing known, however many frames came."""
    assert Stream(stamp_s=109.9, answered_s=100.0, image_hw=HW).is_torn(110.0, 2.0)


def test_stream_that_was_never_answered_is_not_torn() -> None:
    assert not Stream().is_torn(HOUR_S, 2.0)
    assert not Stream(stamp_s=1.0, image_hw=HW).is_torn(HOUR_S, 2.0)


def test_identity_does_not_survive_a_clock_that_jumps_an_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker = AmodalTracker()
    step(tracker, 0.0, see(A, B), [A, B])
    with caplog.at_level(logging.WARNING):
        plan, _ = step(tracker, HOUR_S, see(A), [A])
    assert plan.track_ids.tolist() == [2]
    assert plan.prior_masks == (None,)
    assert plan.reset == ""  # the scene goes on: nothing but the tracks is forgotten
    assert "2 tracks end: 3600.0 s without a frame" in caplog.text
    plan, _ = step(tracker, HOUR_S + 0.1, see(A), [A])
    assert plan.track_ids.tolist() == [2]


def test_identity_survives_a_camera_that_stalls() -> None:
    tracker = AmodalTracker(TrackerConfig(max_coast=2.0))
    step(tracker, 0.0, see(A), [A])
    plan, _ = step(tracker, 4.5, see(A), [A])
    assert plan.track_ids.tolist() == [0]


def test_given_object_survives_a_torn_stream_and_detected_ones_do_not() -> None:
    tracker = AmodalTracker()
    step(tracker, 0.0, see(A), [A])
    given = tracker.add_object(B)
    step(tracker, 0.1, see(A), [A, B])
    plan = tracker.plan(Detections.empty(), HOUR_S, HW)
    assert plan.track_ids.tolist() == [given]
    tracker.update(plan, answer([B]))
    assert tracker.status().pinned == len(tracker) == 1
