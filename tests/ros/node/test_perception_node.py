# SPDX-License-Identifier: Apache-2.0
"""The perception node over real DDS, with a fast predictor in place of the model."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

from amodal_ros.errors import BackendError
from amodal_ros.ros.convert.images import image_to_rgb
from amodal_ros.ros.convert.masks import decode_mask, decode_masks
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.outputs import publishers as outputs
from amodal_ros.ros.outputs.publishers import TIMING_KEYS, read_timing
from tests.ros.ros_rig import Camera, boxes_message, image_message, picture, timing_values

BOX = (20.0, 30.0, 60.0, 80.0)


@pytest.fixture
def rig(make_rig):
    return make_rig()


def check_good_frame(rig):
    """The next good frame is answered."""
    answer = rig.camera.ask(picture(), [BOX])
    assert len(answer.masks) == 1


def test_the_answer_is_the_models_for_exactly_this_image(rig):
    rgb = picture()
    header = rig.camera.send(rgb, [BOX, (100, 10, 140, 50)], ids=["a", "b"])
    answer = rig.camera.wait_answer(header)
    assert (answer.height, answer.width) == rgb.shape[:2]
    assert [mask.detection_id for mask in answer.masks] == ["a", "b"]
    assert all(mask.mask.header == header for mask in answer.masks)
    assert len({mask.track_id for mask in answer.masks}) == 2
    visible, amodal = decode_mask(answer.masks[0], rgb.shape[:2])
    assert np.argwhere(amodal).min(axis=0).tolist() == [30, 20]
    assert amodal.sum() == 40 * 50
    assert visible.sum() == 20 * 50
    assert answer.masks[0].predicted_iou == 0.75
    np.testing.assert_array_equal(rig.predictor.images[-1], rgb)


def test_no_detection_is_answered_with_no_mask(rig):
    answer = rig.camera.ask(picture(), [])
    assert (answer.height, answer.width, answer.masks) == (120, 160, [])
    assert rig.predictor.images == []


def test_a_track_goes_on_and_coasts(rig):
    first = rig.camera.ask(picture(), [BOX]).masks[0]
    second = rig.camera.ask(picture(), [(22.0, 31.0, 62.0, 81.0)]).masks[0]
    coasting = rig.camera.ask(picture(), []).masks[0]
    assert first.track_id == second.track_id == coasting.track_id
    assert [mask.coasting for mask in (first, second, coasting)] == [False, False, True]
    assert rig.predictor.priors[0] == (None,)
    assert rig.predictor.priors[1][0].area > 40 * 50


@pytest.mark.parametrize(
    ("box", "counter"),
    [
        ((math.nan, 30, 60, 80), "boxes_not_finite"),
        ((60, 80, 20, 30), "boxes_no_size"),
        ((500, 30, 560, 80), "boxes_outside"),
    ],
)
def test_a_bad_box_costs_itself_alone(rig, box, counter):
    answer = rig.camera.ask(picture(), [box, BOX])
    assert len(answer.masks) == 1
    assert rig.counts(counter) == 1
    check_good_frame(rig)


def test_an_engine_that_throws_costs_one_frame(rig):
    rig.predictor.failures = [BackendError("out of memory"), ValueError("unexpected")]
    for expected in (1, 2):
        rig.camera.send(picture(), [BOX])
        rig.camera.wait(lambda n=expected: rig.counts("dropped_engine_error") == n, "the counter")
    check_good_frame(rig)


def test_messages_without_stamp(rig):
    rig.camera.images.publish(image_message(picture(), Image().header))
    rig.camera.boxes.publish(boxes_message([BOX], Image().header))
    rig.camera.wait(lambda: rig.counts("dropped_unstamped") == 2, "the counter")
    check_good_frame(rig)


def test_slop(make_rig):
    rig = make_rig(slop=0.01)
    header = rig.camera.header()
    rig.camera.images.publish(image_message(picture(), header))
    near = rig.camera.header()
    near.stamp.sec, near.stamp.nanosec = header.stamp.sec, header.stamp.nanosec
    near.stamp.nanosec += 5_000_000 if near.stamp.nanosec < 900_000_000 else -5_000_000
    rig.camera.boxes.publish(boxes_message([BOX], near))
    assert len(rig.camera.wait_answer(header).masks) == 1


@pytest.mark.parametrize(
    "reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT]
)
def test_publishers_of_either_reliability_are_heard(rig, context, reliability):
    camera = Camera(context, reliability=reliability)
    try:
        rig.wait_connected(camera)
        assert len(camera.ask(picture(), [BOX]).masks) == 1
    finally:
        camera.close()


def test_topics_are_parameters(make_rig):
    check_good_frame(make_rig(image_topic="/left/image"))


def test_overlay_is_drawn_only_for_subscribers(rig, monkeypatch):
    drawn = []

    def spy(image_rgb, objects):
        drawn.append(len(objects))
        return outputs_draw(image_rgb, objects)

    outputs_draw = outputs.draw_overlay
    monkeypatch.setattr(outputs, "draw_overlay", spy)
    check_good_frame(rig)
    assert drawn == []
    overlays = rig.camera.subscribe(Image, "amodal/overlay")
    overlay = next(p for p in rig.node.publishers if p.topic_name == "/amodal/overlay")
    rig.camera.wait(overlay.get_subscription_count, "the subscription")
    rgb = picture()
    header = rig.camera.send(rgb, [BOX])
    answer = rig.camera.wait_answer(header)
    rig.camera.wait(lambda: overlays, "the overlay")
    assert overlays[0].header == header
    shown = image_to_rgb(overlays[0])
    np.testing.assert_array_equal(shown, outputs_draw(rgb, decode_masks(answer)))
    assert (shown != rgb).any()


def test_timing_says_where_the_time_went(rig):
    timings = rig.camera.subscribe(DiagnosticArray, "amodal/timing")
    timing = next(p for p in rig.node.publishers if p.topic_name == "/amodal/timing")
    rig.camera.wait(timing.get_subscription_count, "the subscription")
    rig.predictor.delay_s = 0.05
    header = rig.camera.send(picture(), [BOX, (math.nan, 0, 1, 1)])
    rig.camera.wait(lambda: timings, "the timing")
    arrived_ns = rig.camera.node.get_clock().now().nanoseconds
    message = timings[0]
    assert message.header == header
    values = timing_values(message)
    assert tuple(values)[: len(TIMING_KEYS)] == TIMING_KEYS
    assert values == read_timing(message)
    assert values["prefix"] == 2.0
    assert values["suffix"] == 3.0
    assert values["boxes_not_finite"] == 1
    assert values["dropped_bad_image"] == 0
    assert 50 < values["total"] < (arrived_ns - stamp_to_ns(header.stamp)) / 1e6
    own = sum(values[key] for key in ("transport", "wait", "convert", "track", "message"))
    assert values["total"] > own + 50


def test_an_image_that_waits_for_its_boxes_shows_it_in_the_timing(rig):
    timings = rig.camera.subscribe(DiagnosticArray, "amodal/timing")
    timing = next(p for p in rig.node.publishers if p.topic_name == "/amodal/timing")
    rig.camera.wait(timing.get_subscription_count, "the subscription")
    header = rig.camera.header()
    rig.camera.images.publish(image_message(picture(), header))
    time.sleep(0.2)
    rig.camera.boxes.publish(boxes_message([BOX], header))
    rig.camera.wait(lambda: timings, "the timing")
    values = timing_values(timings[0])
    assert values["wait"] > 150
    assert values["transport"] < values["wait"]


def test_two_hundred_frames_leave_no_thread(rig):
    check_good_frame(rig)
    before = threading.active_count()
    for _ in range(200):
        rig.camera.ask(picture(), [BOX])
    assert threading.active_count() == before
