# SPDX-License-Identifier: Apache-2.0
"""Lifecycle of the perception node through its services: every transition, twice, any order."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from amodal_ros.errors import BackendError, InvalidInputError, ManifestError
from amodal_ros.ros.node.perception_node import PerceptionNode
from tests.ros.fake_predictor import FakePredictor
from tests.ros.ros_rig import picture

BOX = (20.0, 30.0, 60.0, 80.0)
CONFIGURE = Transition.TRANSITION_CONFIGURE
ACTIVATE = Transition.TRANSITION_ACTIVATE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE
CLEANUP = Transition.TRANSITION_CLEANUP


def state(rig) -> str:
    request = GetState.Request()
    return rig.camera.call(GetState, "amodal_perception/get_state", request).current_state.label


@pytest.fixture
def rig(make_rig):
    return make_rig(activate=False)


def test_it_answers_again_after_every_way_back(rig):
    for transitions in (
        [CONFIGURE, ACTIVATE],
        [DEACTIVATE, ACTIVATE],
        [DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE],
        [DEACTIVATE, CLEANUP, CONFIGURE, CLEANUP, CONFIGURE, ACTIVATE],
    ):
        assert all(rig.camera.change_state(transition) for transition in transitions)
        assert state(rig) == "active"
        rig.wait_connected(rig.camera)
        assert len(rig.camera.ask(picture(), [BOX]).masks) == 1


def test_an_inactive_node_is_silent_and_holds_no_thread(rig):
    before = threading.active_count()
    rig.camera.change_state(CONFIGURE)
    rig.camera.change_state(ACTIVATE)
    assert threading.active_count() == before + 2  # one handles a frame, one prepares the next
    rig.wait_connected(rig.camera)
    rig.camera.change_state(DEACTIVATE)
    assert threading.active_count() == before
    rig.camera.send(picture(), [BOX])
    rig.camera.spin_for(0.3)
    assert rig.camera.answers == []
    assert rig.predictor.images == []


@pytest.mark.parametrize(
    ("way", "shutdown"),
    [
        ([], Transition.TRANSITION_UNCONFIGURED_SHUTDOWN),
        ([CONFIGURE], Transition.TRANSITION_INACTIVE_SHUTDOWN),
        ([CONFIGURE, ACTIVATE], Transition.TRANSITION_ACTIVE_SHUTDOWN),
    ],
)
def test_shutdown_from_every_state_and_twice(rig, way, shutdown):
    threads = threading.active_count()
    for transition in way:
        assert rig.camera.change_state(transition)
    assert rig.camera.change_state(shutdown)
    assert state(rig) == "finalized"
    assert not rig.camera.change_state(shutdown)
    assert threading.active_count() == threads
    assert all(predictor.closed for predictor in rig.predictors)
    assert not [p for p in rig.node.publishers if p.topic_name.startswith("/amodal/")]


def test_ten_rounds_leave_nothing_behind(rig):
    def entities():
        node = rig.node
        kinds = (node.publishers, node.subscriptions, node.timers, node.services)
        return [len(list(kind)) for kind in kinds]

    before, threads = entities(), threading.active_count()
    for _ in range(10):
        for transition in (CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP):
            assert rig.camera.change_state(transition)
    assert entities() == before
    assert threading.active_count() == threads
    assert all(predictor.closed for predictor in rig.predictors)
    alive = [weakref.ref(predictor) for predictor in rig.predictors]
    rig.predictors.clear()
    gc.collect()
    assert not any(reference() for reference in alive)


def test_deactivation_in_the_middle_of_a_frame_waits_for_it(rig):
    rig.camera.change_state(CONFIGURE)
    rig.camera.change_state(ACTIVATE)
    rig.wait_connected(rig.camera)
    rig.predictor.delay_s = 0.5
    rig.camera.send(picture(), [BOX])
    rig.camera.wait(lambda: rig.predictor.images, "the frame in work")
    assert rig.camera.change_state(DEACTIVATE)
    assert rig.camera.change_state(CLEANUP)
    assert rig.predictor.closed
    assert rig.counts("dropped_engine_error") == 0


@pytest.mark.parametrize("error", [ManifestError("suffix.onnx is truncated"), BackendError("no")])
def test_configure_fails_with_the_reason_and_can_be_repeated(context, error, capfd):
    predictors = []

    def make_predictor(parameters):
        if not predictors:
            predictors.append(None)
            raise error
        predictors.append(FakePredictor())
        return predictors[-1]

    node = PerceptionNode(make_predictor, context=context)
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert f"cannot configure: {error}" in capfd.readouterr().err
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert predictors[-1].warm
    finally:
        node.trigger_shutdown()
        node.destroy_node()


def test_a_model_that_fails_to_warm_up_is_freed(context):
    class Broken(FakePredictor):
        def warm_up(self):
            raise BackendError("the engine is of another GPU")

    broken = Broken()
    node = PerceptionNode(lambda parameters: broken, context=context)
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert broken.closed
    finally:
        node.destroy_node()


def test_an_unexpected_error_is_told_and_the_node_can_be_configured_again(context, capfd):
    calls = []

    def make_predictor(parameters):
        calls.append(parameters)
        if len(calls) == 1:
            raise ZeroDivisionError("a bug")
        return FakePredictor()

    node = PerceptionNode(make_predictor, context=context)
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.ERROR
        assert "ZeroDivisionError: a bug" in capfd.readouterr().err
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    finally:
        node.trigger_shutdown()
        node.destroy_node()


def test_wrong_parameters_refuse_the_node(context):
    wrong = [Parameter("image_reliability", value="perhaps")]
    with pytest.raises(InvalidInputError, match="image_reliability is 'perhaps'"):
        PerceptionNode(context=context, parameter_overrides=wrong)


def test_cameras_change_between_configurations_only(rig):
    rig.camera.change_state(CONFIGURE)
    (refused,) = rig.node.set_parameters([Parameter("cameras", value="left,right")])
    assert "cameras: fixed while the node is configured" in refused.reason
    rig.camera.change_state(CLEANUP)
    (taken,) = rig.node.set_parameters([Parameter("cameras", value="left,right")])
    assert taken.successful


def test_a_destroyed_node_has_left_the_ros_network(context, make_node):
    observer = make_node("observer")
    node = PerceptionNode(lambda parameters: FakePredictor(), context=context)
    node.trigger_configure()

    def seen(wanted: bool) -> bool:
        deadline = time.monotonic() + 10
        while ("amodal_perception" in observer.get_node_names()) != wanted:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    assert seen(True)
    node.destroy_node()
    assert seen(False)
