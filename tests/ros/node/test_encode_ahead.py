# SPDX-License-Identifier: Apache-2.0
"""On a GPU the next image is encoded while the objects of this one are segmented."""

from __future__ import annotations

import threading
from time import monotonic, sleep

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition

from amodal_ros.errors import BackendError
from tests.ros.fake_predictor import FakePredictor
from tests.ros.ros_rig import SETTLE_S, START_S, picture, timing_values

BOX = (20.0, 30.0, 60.0, 80.0)


class Engine(FakePredictor):
    """Like one on a GPU; segments an image when the test lets it."""

    encodes_ahead = True

    def __init__(self):
        super().__init__()
        self.go_on = threading.Semaphore(0)
        self.predicted: list[object] = []
        self.broken_images = 0

    def encode(self, image_rgb):
        features = super().encode(image_rgb)
        if self.broken_images:
            self.broken_images -= 1
            raise BackendError("prefix failed: out of memory")
        return features

    def predict(self, features, *arguments, **options):
        self.predicted.append(features)
        assert self.go_on.acquire(timeout=START_S)
        return super().predict(features, *arguments, **options)


class EngineOnCpu(Engine):
    encodes_ahead = False


@pytest.fixture
def make_engine_rig(make_rig):
    made = []

    def make(engine=Engine, **parameters):
        rig = make_rig(activate=False, **parameters)
        rig.make_predictor = lambda parameters: engine()
        rig.node.trigger_configure()
        rig.node.trigger_activate()
        rig.wait_connected(rig.camera)
        made.append(rig)
        return rig

    yield make
    for rig in made:  # or a test that failed would wait for what it holds
        for predictor in rig.predictors:
            predictor.go_on.release(100)


def session(rig):
    """What answers the camera."""
    return rig.node._cameras[""].session


def send(rig):
    """Publish a frame with one object; wait for its arrival, or the next would take its place."""
    header = rig.camera.send(picture(), [BOX])
    rig.camera.wait(lambda: arrived(rig, header), "the arrival of the image")
    return header


def arrived(rig, header):
    newest = session(rig).newest_image
    return newest is not None and newest.header == header


def begin(rig, count):
    """Wait until so many images are encoded."""
    rig.camera.wait(lambda: len(rig.predictor.images) == count, f"{count} encoded images")


def test_the_next_image_is_encoded_while_this_one_is_segmented(make_engine_rig):
    rig = make_engine_rig()
    first = send(rig)
    rig.camera.wait(lambda: rig.predictor.predicted, "the first frame in work")
    second = send(rig)
    begin(rig, 2)
    assert len(rig.predictor.predicted) == 1
    rig.predictor.go_on.release(2)
    one, two = rig.camera.wait_answer(first), rig.camera.wait_answer(second)
    # The first frame's mask is M_spec of the second, which was encoded before there was one.
    assert one.masks[0].track_id == two.masks[0].track_id
    assert rig.predictor.priors[1][0] is not None
    assert len(rig.predictor.images) == 2
    assert rig.counts("dropped_superseded") == 0


@pytest.mark.parametrize(
    ("engine", "parameters"), [(EngineOnCpu, {}), (Engine, {"encode_ahead": False})]
)
def test_else_the_newest_image_waits_untouched(make_engine_rig, engine, parameters):
    rig = make_engine_rig(engine, **parameters)
    send(rig)
    rig.camera.wait(lambda: rig.predictor.predicted, "the first frame in work")
    send(rig)
    last = send(rig)
    rig.camera.wait(lambda: rig.counts("dropped_superseded") == 1, "the third frame")
    assert len(rig.predictor.images) == 1
    rig.predictor.go_on.release(2)
    rig.camera.wait_answer(last)
    assert len(rig.predictor.images) == 2


def test_it_can_be_switched_while_frames_come(make_engine_rig):
    rig = make_engine_rig()
    assert rig.camera.set_parameters(encode_ahead=False) == []
    rig.camera.wait(lambda: not session(rig)._pipeline.encodes_ahead(), "the change")
    first = send(rig)
    rig.camera.wait(lambda: rig.predictor.predicted, "the first frame in work")
    send(rig)
    assert len(rig.predictor.images) == 1
    assert rig.camera.set_parameters(encode_ahead=True) == []
    rig.camera.wait(session(rig)._pipeline.encodes_ahead, "the change back")
    third = send(rig)
    begin(rig, 2)
    rig.predictor.go_on.release(2)
    rig.camera.wait_answer(first)
    rig.camera.wait_answer(third)


def test_an_image_without_anything_to_look_for_is_not_encoded(make_engine_rig):
    rig = make_engine_rig()
    assert rig.camera.ask(picture(), []).masks == []
    assert rig.predictor.images == []


def test_an_image_that_cannot_be_encoded_ahead_costs_itself_alone(make_engine_rig):
    rig = make_engine_rig()
    first = send(rig)
    rig.camera.wait(lambda: rig.predictor.predicted, "the first frame in work")
    rig.predictor.broken_images = 1
    send(rig)
    begin(rig, 2)
    rig.predictor.go_on.release(2)
    one = rig.camera.wait_answer(first)
    rig.camera.wait(lambda: rig.counts("dropped_engine_error") == 1, "the lost frame")
    three = rig.camera.ask(picture(), [BOX])
    assert one.masks[0].track_id == three.masks[0].track_id


def test_a_model_that_has_encoded_ahead_also_segments(make_engine_rig):
    rig = make_engine_rig()
    old = rig.predictor
    first = send(rig)
    rig.camera.wait(lambda: old.predicted, "the first frame in work")
    second = send(rig)
    begin(rig, 2)
    assert rig.camera.set_parameters(threads=3) == []
    rig.camera.wait(lambda: len(rig.predictors) == 2 and rig.predictor.warm, "the new model")
    old.go_on.release(1)
    rig.camera.wait_answer(first)
    rig.camera.wait(lambda: len(old.predicted) == 2, "the second frame in work")
    assert not old.closed
    old.go_on.release(1)
    rig.camera.wait_answer(second)
    rig.camera.wait(lambda: old.closed, "the end of the old model")
    assert rig.predictor.predicted == []


def test_the_time_until_its_turn_is_told_as_waiting(make_engine_rig):
    rig = make_engine_rig()
    timings = rig.camera.subscribe(DiagnosticArray, "amodal/timing")
    rig.camera.wait(
        lambda: rig.camera.node.count_publishers("amodal/timing"), "the timing's publisher"
    )
    rig.camera.spin_for(SETTLE_S)
    first = send(rig)
    rig.camera.wait(lambda: rig.predictor.predicted, "the first frame in work")
    second = send(rig)
    begin(rig, 2)
    rig.camera.spin_for(0.5)
    rig.predictor.go_on.release(2)
    rig.camera.wait_answer(first)
    rig.camera.wait_answer(second)
    rig.camera.wait(lambda: len(timings) >= 2, "the timings")
    assert timing_values(timings[1])["wait"] > 450


def test_a_node_that_is_deactivated_gives_back_what_waits_for_its_turn(make_engine_rig):
    rig = make_engine_rig()
    old, pipeline = rig.predictor, session(rig)._pipeline
    send(rig)
    rig.camera.wait(lambda: old.predicted, "the first frame in work")
    send(rig)
    begin(rig, 2)

    def go_on_once_it_stops():
        deadline = monotonic() + START_S
        while not pipeline._cancelled and monotonic() < deadline:
            sleep(0.01)
        old.go_on.release(2)

    threading.Thread(target=go_on_once_it_stops, daemon=True).start()
    assert rig.camera.change_state(Transition.TRANSITION_DEACTIVATE)
    assert rig.camera.change_state(Transition.TRANSITION_CLEANUP)
    assert old.closed
    assert len(old.predicted) == 1


def test_the_parts_of_a_frame_that_lost_its_only_track_add_up(make_engine_rig):
    rig = make_engine_rig(max_coast=0.0)
    timings = rig.camera.subscribe(DiagnosticArray, "amodal/timing")
    rig.camera.wait(
        lambda: rig.camera.node.count_publishers("amodal/timing"), "the timing's publisher"
    )
    rig.camera.spin_for(SETTLE_S)
    rig.predictor.go_on.release()
    rig.camera.ask(picture(), [BOX])  # a track, which a frame without its box ends
    assert rig.camera.ask(picture(), []).masks == []
    assert len(rig.predictor.images) == 2
    rig.camera.wait(lambda: len(timings) >= 2, "the timings")
    assert timing_values(timings[1])["prefix"] == 2.0
