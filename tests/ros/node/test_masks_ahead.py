# SPDX-License-Identifier: Apache-2.0
"""Masks where the objects will be when the next image comes, over real DDS."""

from __future__ import annotations

import pytest
from amodal_msgs.msg import AmodalMaskArray

from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.outputs import ahead_output
from tests.ros.ros_rig import picture

STEP_PX = 4.0
_MOST = 60
_NEAR_NS = 10_000


@pytest.fixture
def rig(make_rig):
    return make_rig()


def test_they_are_stamped_with_the_moment_that_they_are_of(rig):
    came = rig.camera.subscribe(AmodalMaskArray, "amodal/masks_ahead")
    publishers = {p.topic_name: p for p in rig.node.publishers}
    count = publishers["/amodal/masks_ahead"].get_subscription_count
    rig.camera.wait(count, "the subscription of masks_ahead")
    answers = {}
    for frame in range(_MOST):
        x0 = 10.0 + STEP_PX * (frame % 20)
        header = rig.camera.send(picture(), [(x0, 20.0, x0 + 40.0, 90.0)])
        answers[stamp_to_ns(header.stamp)] = rig.camera.wait_answer(header)
        if len(came) >= 5 and frame % 20 > 10:
            break
    rig.camera.wait(lambda: len(came) >= 5, "masks ahead")
    ahead = came[-1]
    (later,) = ahead.masks
    # Each object is looked at in each image: its age is how far the moment lies ahead.
    image_ns = stamp_to_ns(ahead.header.stamp) - round(later.age * 1e9)
    (source_ns,) = [stamp for stamp in answers if abs(stamp - image_ns) < _NEAR_NS]
    (now,) = answers[source_ns].masks
    assert now.age == 0
    assert later.age > 0
    assert later.track_id == now.track_id
    assert later.amodal_box.x_offset > now.amodal_box.x_offset


def test_they_are_made_while_somebody_subscribes(rig, monkeypatch):
    made = []
    monkeypatch.setattr(ahead_output, "encode_masks", lambda *given, **more: made.append(given))
    for _ in range(5):
        rig.camera.ask(picture(), [(10.0, 20.0, 60.0, 90.0)])
    assert made == []
