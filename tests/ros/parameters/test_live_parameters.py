# SPDX-License-Identifier: Apache-2.0
"""Parameters of a running node: limits, topics, another model; over real DDS."""

from __future__ import annotations

import threading

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from amodal_ros.errors import BackendError
from tests.ros.fake_predictor import FakePredictor
from tests.ros.ros_rig import START_S, Camera, picture

BOX = (20.0, 30.0, 60.0, 80.0)


@pytest.fixture
def rig(make_rig):
    return make_rig()


class SlowToWarmUp(FakePredictor):
    """Warm once the test says so."""

    def __init__(self):
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def warm_up(self):
        self.begun.set()
        assert self.go_on.wait(START_S)
        super().warm_up()


class Broken(FakePredictor):
    def warm_up(self):
        raise BackendError("the engine is of another GPU")


def value(rig, name):
    return rig.node.get_parameter(name).value


def test_the_old_model_serves_until_the_new_one_is_warm(rig):
    old, new = rig.predictor, SlowToWarmUp()
    rig.make_predictor = lambda parameters: new
    assert rig.camera.set_parameters(threads=3) == []
    rig.camera.wait(new.begun.is_set, "the new model")
    track = rig.camera.ask(picture(), [BOX]).masks[0].track_id
    assert len(old.images) == 1
    assert not old.closed
    rig.camera.diagnostics("model", lambda status: "being loaded" in status.message)
    new.go_on.set()
    rig.camera.wait(lambda: old.closed, "the change")
    answer = rig.camera.ask(picture(), [BOX])
    assert (len(old.images), len(new.images)) == (1, 1)
    assert answer.masks[0].track_id == track  # the objects are the same ones
    assert value(rig, "threads") == 3


def test_the_old_model_is_freed_after_the_frame_that_uses_it(rig):
    old = rig.predictor
    old.delay_s = 1.0
    header = rig.camera.send(picture(), [BOX])
    rig.camera.wait(lambda: old.images, "the frame in work")
    assert rig.camera.set_parameters(threads=3) == []
    rig.camera.wait(lambda: len(rig.predictors) == 2 and rig.predictor.warm, "the new model")
    assert not old.closed
    assert len(rig.camera.wait_answer(header).masks) == 1
    rig.camera.wait(lambda: old.closed, "the change")


def test_a_model_that_fails_leaves_the_old_one_and_says_why(rig, capfd):
    old = rig.predictor
    rig.make_predictor = lambda parameters: Broken()
    assert rig.camera.set_parameters(threads=3) == []
    state = rig.camera.diagnostics("model", lambda status: "another GPU" in status.message)
    assert state["level"] == DiagnosticStatus.WARN
    assert state["message"] == "model change failed: the engine is of another GPU"
    assert rig.predictor.closed
    rig.camera.wait(lambda: value(rig, "threads") == 0, "the value before")
    assert len(rig.camera.ask(picture(), [BOX]).masks) == 1
    assert len(old.images) == 1
    assert "cannot change the model: the engine is of another GPU" in capfd.readouterr().err
    # The next one that works makes it good.
    rig.make_predictor = lambda parameters: FakePredictor()
    assert rig.camera.set_parameters(threads=2) == []
    rig.camera.wait(lambda: old.closed, "the change")
    rig.camera.diagnostics("model", lambda status: status.level == DiagnosticStatus.OK)


def test_the_last_wish_counts(rig):
    first, others = SlowToWarmUp(), []

    def make(parameters):
        if not first.begun.is_set():
            return first
        others.append(parameters.threads)
        return FakePredictor()

    rig.make_predictor = make
    for threads in (1, 2, 3):
        assert rig.camera.set_parameters(threads=threads) == []
        rig.camera.wait(first.begun.is_set, "the first one")
    rig.camera.spin_for(0.3)
    first.go_on.set()
    rig.camera.wait(lambda: rig.predictors[0].closed, "the change")
    assert others == [3]
    assert first.closed
    assert first.images == []


def test_a_folder_that_is_no_model_is_refused_at_once(rig, tmp_path):
    (reason,) = rig.camera.set_parameters(model_dir=str(tmp_path))
    assert "expected a folder with manifest.json" in reason
    assert value(rig, "model_dir") == ""
    assert len(rig.predictors) == 1


def test_a_model_change_while_the_node_is_cleaned_up_ends_nothing_else(rig):
    new = SlowToWarmUp()
    rig.make_predictor = lambda parameters: new
    assert rig.camera.set_parameters(threads=3) == []
    rig.camera.wait(new.begun.is_set, "the new model")
    assert rig.camera.change_state(4)
    assert rig.camera.change_state(2)
    new.go_on.set()
    rig.camera.wait(lambda: new.closed, "the end of what nobody waits for")
    rig.make_predictor = lambda parameters: FakePredictor()
    assert rig.camera.change_state(1)
    assert rig.camera.change_state(3)
    rig.wait_connected(rig.camera)
    assert len(rig.camera.ask(picture(), [BOX]).masks) == 1


def test_limits_count_from_the_next_frame_on(rig):
    boxes = [BOX, (100.0, 10.0, 140.0, 50.0)]
    assert len(rig.camera.ask(picture(), boxes).masks) == 2
    assert rig.camera.set_parameters(max_objects=1, max_coast=0.0) == []
    rig.camera.spin_for(0.2)
    assert len(rig.camera.ask(picture(), boxes).masks) == 1
    assert rig.counts("boxes_surplus") == 1
    assert len(rig.predictors) == 1


def test_whole_numbers_are_taken_where_a_number_is_meant(rig):
    """`ros2 param set /amodal_perception max_coast -1` sends a whole number."""
    assert rig.camera.set_parameters(max_coast=-1) == []
    assert len(rig.camera.ask(picture(), [BOX]).masks) == 1
    rig.camera.spin_for(0.3)
    assert [m.coasting for m in rig.camera.ask(picture(), []).masks] == [True]
    (reason,) = rig.camera.set_parameters(max_coast="long")
    assert "max_coast is 'long' (str), expected a number" in reason
    (reason,) = rig.camera.set_parameters(max_objects=2.5)
    assert "expected 'Type.INTEGER'" in reason


def test_another_image_topic_while_active_keeps_the_tracks(rig, context):
    track = rig.camera.ask(picture(), [BOX]).masks[0].track_id
    assert rig.camera.set_parameters(image_topic="other/image") == []
    other = Camera(context, "other/image")
    try:
        rig.wait_connected(other)
        assert other.ask(picture(), [BOX]).masks[0].track_id == track
        topics = [s.topic_name for s in rig.node.subscriptions]
        assert "/other/image" in topics
        assert "/camera/image_raw" not in topics
    finally:
        other.close()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"image_topic": "no such:topic"}, "image_topic is 'no such:topic', expected the name"),
        ({"detections_type": "yolo_msgs"}, "that package cannot be imported"),
        ({"cameras": "left"}, "cameras: fixed while the node is configured"),
        ({"slop": 3.0}, "slop"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(rig, values, text):
    (reason,) = rig.camera.set_parameters(**values)
    assert text in reason
    assert "\n" not in reason
    assert len(rig.camera.ask(picture(), [BOX]).masks) == 1
