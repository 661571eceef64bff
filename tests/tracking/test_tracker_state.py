# SPDX-License-Identifier: Apache-2.0
"""A tracker that was kept in a file goes on as if nothing had been."""

from __future__ import annotations

import pickle

from amodal_ros.tracking.tracker import AmodalTracker
from tests.tracking.tracker_support import A, B, see, step


def test_a_kept_tracker_goes_on_with_its_tracks():
    tracker = AmodalTracker()
    step(tracker, 0.0, see(A, B), [A, B])
    tracker.remove_object(1)
    kept = pickle.loads(pickle.dumps(tracker))
    assert kept.status() == tracker.status()
    for one in (tracker, kept):
        plan, objects = step(one, 0.1, see(A, B), [A, B])
        assert plan.track_ids.tolist() == [0, 2]  # identities are not given twice
        assert [entry.track_id for entry in objects] == [0, 2]
        one.reset()  # its lock is there again
        assert len(one) == 0
