# SPDX-License-Identifier: Apache-2.0
"""The node under a frame budget, with a model that takes longer than the budget holds."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from amodal_ros.ros.node import frame_pipeline
from tests.ros.ros_rig import Camera, PerceptionRig, picture

BOXES = [(10.0, 20.0, 60.0, 90.0), (70.0, 30.0, 120.0, 100.0)]
SLOW_S = 0.4  # of the fake model; a quarter of it must be enough for everything else


@pytest.fixture
def rig(context):
    rig = PerceptionRig(context, frame_budget=0.1)
    yield rig
    rig.close()


def answered(camera: Camera, objects: int) -> list:
    """Sends pictures until one is answered with so many objects, and returns these."""
    end = time.monotonic() + 30.0
    while time.monotonic() < end:
        message = camera.wait_answer(camera.send(picture(), BOXES))
        if len(message.masks) == objects:
            return list(message.masks)
        time.sleep(0.02)  # answers come at once: the model needs the time
    raise AssertionError(f"no picture was answered with {objects} objects")


def test_pictures_are_answered_while_the_model_looks(rig):
    rig.predictor.delay_s = SLOW_S
    first = rig.camera.wait_answer(rig.camera.send(picture(), BOXES))
    assert first.masks == []  # the model has seen nothing yet
    masks = answered(rig.camera, 2)
    assert {mask.amodal_box.x_offset for mask in masks} == {10, 70}
    assert max(mask.age for mask in masks) > 0
    assert all(mask.predicted_iou == pytest.approx(0.75) for mask in masks)
    asked = [len(priors) for priors in rig.predictor.priors]
    assert set(asked) == {1}  # one object at a time: more do not fit
    values = rig.camera.diagnostics(
        "amodal_perception: camera",
        lambda status: any(v.key == "look_bound_s" for v in status.values),
    )
    assert float(values["look_bound_s"]) > 2 * SLOW_S
    assert float(values["frame_budget_ms"]) == 100.0


def test_known_objects_are_looked_at_small_where_not_all_fit(rig):
    rig.predictor.looks_small = True
    rig.predictor.delay_s = SLOW_S / 4
    end = time.monotonic() + 30.0
    while not any(small is not None and small.all() for small in rig.predictor.small):
        assert time.monotonic() < end, "nothing was looked at in a smaller region"
        rig.camera.wait_answer(rig.camera.send(picture(), BOXES))
        time.sleep(0.02)
    values = rig.camera.diagnostics(
        "amodal_perception: camera",
        lambda status: any(v.key == "small_looks" for v in status.values),
    )
    assert float(values["small_look_cost_ms"]) > 0
    assert values["small_looks"] in ("0", "1")


def test_without_a_budget_every_picture_has_every_object(rig):
    assert rig.camera.set_parameters(frame_budget=0.0) == []
    for _ in range(3):
        masks = rig.camera.wait_answer(rig.camera.send(picture(), BOXES)).masks
        assert len(masks) == 2
        assert all(mask.age == 0 for mask in masks)


def test_a_model_that_is_fast_enough_looks_at_all(rig):
    end = time.monotonic() + 30.0
    while any(mask.age for mask in answered(rig.camera, 2)):  # while the machine is busy
        assert time.monotonic() < end, "never were both looked at in one picture"


@pytest.mark.parametrize(
    ("transport_ms", "since_s"),
    [(30.0, 0.07), (0.0, 0.04), (250.0, 0.04), (-20.0, 0.04)],
    ids=["stamp", "no transport", "another clock or a recording", "a clock that is ahead"],
)
def test_a_frames_budget_runs_from_its_stamp(transport_ms, since_s, monkeypatch):
    monkeypatch.setattr(frame_pipeline, "monotonic", lambda: 500.04)
    monkeypatch.setattr(frame_pipeline, "perf_counter", lambda: 7.0)
    frame = SimpleNamespace(received_s=500.0, transport_ms=transport_ms)
    taken_s = frame_pipeline.image_taken_s(frame, budget_s=0.1)
    assert 7.0 - taken_s == pytest.approx(since_s)
