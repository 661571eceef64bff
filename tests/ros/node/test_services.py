# SPDX-License-Identifier: Apache-2.0
"""The node's services over real DDS."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from amodal_msgs.srv import AddObject, RemoveObject, SegmentAmodal
from std_srvs.srv import Trigger

from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.ros.convert.masks import decode_masks
from amodal_ros.ros.node.model_loading import load_predictor
from amodal_ros.ros.node.segment import PromptedObjects
from tests.ros.ros_rig import image_message, picture

BOX = (20.0, 30.0, 60.0, 80.0)
OTHER = (100.0, 10.0, 140.0, 50.0)


@pytest.fixture
def rig(make_rig):
    return make_rig()


def segment(rig, **fields):
    header = rig.camera.header()
    request = SegmentAmodal.Request(image=image_message(picture(), header), **fields)
    answer = rig.camera.call(SegmentAmodal, "amodal_perception/segment", request)
    assert not answer.success or answer.masks.header == header
    return answer


def add_object(rig, **fields):
    return rig.camera.call(AddObject, "amodal_perception/add_object", AddObject.Request(**fields))


def test_boxes_and_points_in_masks_out(rig):
    answer = segment(
        rig,
        boxes_xyxy=[*BOX, *OTHER],
        points_xy=[80.0, 60.0, 30.0, 40.0],
        point_labels=[1, 1],
        point_owners=[2, 0],
    )
    assert answer.success, answer.message
    assert answer.message == "3 objects"
    assert (answer.masks.height, answer.masks.width) == (120, 160)
    assert [mask.detection_id for mask in answer.masks.masks] == ["0", "1", "2"]
    assert all(mask.track_id == -1 for mask in answer.masks.masks)
    boxes = [mask.amodal_box for mask in answer.masks.masks]
    assert [(b.x_offset, b.y_offset, b.width, b.height) for b in boxes] == [
        (20, 30, 40, 50),
        (100, 10, 40, 40),
        (70, 50, 20, 20),
    ]
    first = decode_masks(answer.masks)[0]
    assert first.visible_mask.sum() == 20 * 50
    assert rig.camera.answers == []  # outside of all tracking
    assert len(rig.camera.ask(picture(), []).masks) == 0


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "expected 1 to 256 objects, got 0"),
        ({"boxes_xyxy": [1.0, 2.0, 3.0]}, "boxes_xyxy: expected 4 numbers a box, got 3"),
        ({"boxes_xyxy": [500.0, 0.0, 600.0, 50.0]}, "boxes_xyxy"),
        ({"boxes_xyxy": [float("nan"), 0.0, 60.0, 50.0]}, "boxes_xyxy"),
        ({"boxes_xyxy": [0.1, 0.2, 0.4, 0.6]}, "all boxes lie in the image's first pixel"),
        (
            {"points_xy": [0.1, 0.2], "point_labels": [1], "point_owners": [0]},
            "all points lie in the image's first pixel",
        ),
        ({"boxes_xyxy": list(BOX) * 257}, "expected 1 to 256 objects, got 257"),
        (
            {"points_xy": [1.0, 2.0], "point_labels": [1], "point_owners": []},
            "expected 2 numbers of points_xy, a label and an owner for each point, got 2, 1 and 0",
        ),
        (
            {"points_xy": [1.0, 2.0], "point_labels": [1], "point_owners": [1]},
            "object 0 has neither box nor point",
        ),
        (
            {"points_xy": [1.0, 2.0], "point_labels": [1], "point_owners": [4000000000]},
            "expected 1 to 256 objects, got 4000000001",
        ),
        (
            {"points_xy": [1.0, 2.0], "point_labels": [7], "point_owners": [0]},
            "labels: expected 0 and 1",
        ),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(rig, fields, text):
    answer = segment(rig, **fields)
    assert not answer.success
    assert text in answer.message
    assert answer.masks.masks == []
    assert segment(rig, boxes_xyxy=list(BOX)).success


def test_an_image_that_cannot_be_read(rig):
    answer = rig.camera.call(
        SegmentAmodal, "amodal_perception/segment", SegmentAmodal.Request(boxes_xyxy=list(BOX))
    )
    assert not answer.success
    assert "image encoding '' is not supported" in answer.message


@pytest.mark.parametrize("error", [BackendError("out of memory"), ZeroDivisionError("a bug")])
def test_an_engine_that_fails_is_the_answer_not_the_end(rig, error):
    rig.predictor.failures = [error]
    answer = segment(rig, boxes_xyxy=list(BOX))
    assert not answer.success
    assert str(error) in answer.message
    assert segment(rig, boxes_xyxy=list(BOX)).success
    assert len(rig.camera.ask(picture(), [BOX]).masks) == 1


def test_frames_are_answered_while_a_service_computes(rig):
    begun, go_on = threading.Event(), threading.Event()
    predict = rig.predictor.predict

    def slow_for_the_service(features, boxes_xyxy=None, prior_masks=None, *, points=None, **_):
        if prior_masks is None:
            begun.set()
            assert go_on.wait(30)
        return predict(features, boxes_xyxy, prior_masks, points=points)

    rig.predictor.predict = slow_for_the_service
    client = rig.camera.node.create_client(SegmentAmodal, "amodal_perception/segment")
    rig.camera.wait(client.service_is_ready, "the service")
    rig.camera.spin_for(0.2)
    image = image_message(picture(), rig.camera.header())
    future = client.call_async(SegmentAmodal.Request(image=image, boxes_xyxy=list(BOX)))
    rig.camera.wait(begun.is_set, "the call in work")
    for _ in range(3):
        assert len(rig.camera.ask(picture(), [BOX]).masks) == 1
    assert not future.done()
    go_on.set()
    rig.camera.wait(future.done, "the response")
    assert future.result().success


def test_waiting_for_a_service_costs_no_processor_time(rig):
    rig.predictor.delay_s = 1.0
    before = time.process_time()
    assert segment(rig, boxes_xyxy=list(BOX)).success
    assert time.process_time() - before < 0.5


def test_an_object_given_by_its_box_lives_without_a_detector(make_rig):
    rig = make_rig(max_coast=0.0)
    rig.camera.ask(picture(), [])
    added = add_object(rig, box_xyxy=list(BOX), class_id="cup")
    assert added.success, added.message
    for _ in range(3):
        (mask,) = rig.camera.ask(picture(), []).masks
        assert (mask.track_id, mask.class_id) == (added.track_id, "cup")
    removed = rig.camera.call(
        RemoveObject,
        "amodal_perception/remove_object",
        RemoveObject.Request(track_id=added.track_id),
    )
    assert removed.success
    assert rig.camera.ask(picture(), []).masks == []
    again = rig.camera.call(
        RemoveObject,
        "amodal_perception/remove_object",
        RemoveObject.Request(track_id=added.track_id),
    )
    assert not again.success
    assert str(added.track_id) in again.message


def test_an_object_given_by_points_begins_with_what_is_seen_there(rig):
    rig.camera.ask(picture(), [])
    added = add_object(rig, points_xy=[80.0, 60.0], point_labels=[1])
    assert added.success, added.message
    (mask,) = rig.camera.ask(picture(), []).masks
    assert mask.track_id == added.track_id
    box = mask.amodal_box
    # The fake model sees the left half of a square around the point.
    assert (box.x_offset, box.y_offset, box.width, box.height) == (70, 50, 10, 20)
    (prompt,) = rig.predictor.points[-1]
    np.testing.assert_array_equal(prompt.coords_xy, [[80, 60]])


def test_points_of_an_object_are_its_prompt_as_in_segment(make_rig):
    """With the packaged model: the first mask is that of `segment` for the same box and points."""
    rig = make_rig()
    rig.make_predictor = load_predictor
    assert rig.camera.set_parameters(threads=1) == []
    rig.camera.wait(lambda: rig.predictors[0].closed, "the packaged model")
    rgb = np.full((120, 160, 3), (60, 90, 60), np.uint8)
    rgb[30:90, 30:70], rgb[40:100, 75:130] = (220, 60, 40), (40, 80, 220)
    box, right = (25.0, 25.0, 135.0, 105.0), (100.0, 70.0)
    rig.camera.ask(rgb, [])
    image = image_message(rgb, rig.camera.header())
    masks = {}
    for name, points in (("box", []), ("points", [*right, 50.0, 60.0])):
        labels = [1, 0][: len(points) // 2]
        request = SegmentAmodal.Request(image=image, boxes_xyxy=list(box), points_xy=points)
        request.point_labels, request.point_owners = labels, [0] * len(labels)
        answer = rig.camera.call(SegmentAmodal, "amodal_perception/segment", request)
        assert answer.success, answer.message
        added = add_object(rig, box_xyxy=list(box), points_xy=points, point_labels=labels)
        assert added.success, added.message
        (tracked,) = decode_masks(rig.camera.ask(rgb, []))
        (asked,) = decode_masks(answer.masks)
        np.testing.assert_array_equal(tracked.amodal_mask, asked.amodal_mask)
        np.testing.assert_array_equal(tracked.visible_mask, asked.visible_mask)
        masks[name] = tracked.visible_mask
        rig.camera.call(Trigger, "amodal_perception/reset", Trigger.Request())
    assert (masks["box"] != masks["points"]).any()


def test_points_with_a_box_go_to_the_model_with_the_first_frame_alone(rig):
    rig.camera.ask(picture(), [])
    assert add_object(
        rig, box_xyxy=list(BOX), points_xy=[30.0, 40.0, 50.0, 70.0], point_labels=[1, 0]
    ).success
    assert rig.predictor.points == []  # the next frame shall have them
    for _ in range(2):
        (mask,) = rig.camera.ask(picture(), []).masks
        assert (mask.amodal_box.x_offset, mask.amodal_box.width) == (20, 40)
    (first,), then = rig.predictor.points
    np.testing.assert_array_equal(first.coords_xy, [[30, 40], [50, 70]])
    np.testing.assert_array_equal(first.labels, [1, 0])
    assert then is None


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"box_xyxy": [0.1, 0.2, 0.4, 0.6]}, "all boxes lie in the image's first pixel"),
        ({"points_xy": [0.1, 0.2], "point_labels": [1]}, "all points lie in the image's first"),
        ({"box_xyxy": [500.0, 10.0, 540.0, 50.0]}, "box_xyxy"),
        ({}, "expected a box or points, got neither"),
        ({"box_xyxy": [1.0, 2.0]}, "box_xyxy: expected 4 numbers or none, got 2"),
        ({"box_xyxy": [60.0, 80.0, 20.0, 30.0]}, "box_xyxy"),
        (
            {"points_xy": [8.0, 8.0]},
            "2 numbers of points_xy and a label for each point, got 2 and 0",
        ),
        (
            {"box_xyxy": list(BOX), "point_labels": [1]},
            "2 numbers of points_xy and a label for each point, got 0 and 1",
        ),
        (
            {"box_xyxy": list(BOX), "points_xy": [8.0, 800.0], "point_labels": [1]},
            "points: expected points within the image of 160x120, got (8.0, 800.0)",
        ),
        (
            {"box_xyxy": list(BOX), "points_xy": [30.0, 40.0], "point_labels": [0]},
            "labels: expected 0 and 1, at least one of them 1",
        ),
    ],
)
def test_a_wrong_object_is_told_what_is_wrong(rig, fields, text):
    rig.camera.ask(picture(), [])
    added = add_object(rig, **fields)
    assert (added.success, added.track_id) == (False, -1)
    assert text in added.message


@pytest.mark.parametrize("box", [[], list(BOX)], ids=["alone", "with_a_box"])
def test_points_before_the_first_image(rig, box):
    added = add_object(rig, box_xyxy=box, points_xy=[30.0, 40.0], point_labels=[1])
    assert (added.success, added.message) == (False, "points need an image, none has come yet")


def test_reset_forgets_all_tracks(rig):
    first = rig.camera.ask(picture(), [BOX]).masks[0].track_id
    assert rig.camera.call(Trigger, "amodal_perception/reset", Trigger.Request()).success
    assert rig.camera.ask(picture(), []).masks == []
    assert rig.camera.ask(picture(), [BOX]).masks[0].track_id > first


def test_an_inactive_node_segments_but_has_no_objects(make_rig):
    rig = make_rig(activate=False)
    assert rig.camera.change_state(1)
    assert segment(rig, boxes_xyxy=list(BOX)).success
    for answer in (
        add_object(rig, box_xyxy=list(BOX)),
        rig.camera.call(Trigger, "amodal_perception/reset", Trigger.Request()),
    ):
        assert (answer.success, answer.message) == (False, "the node is not active")


def test_prompts_of_an_object_are_its_own():
    objects = PromptedObjects.from_fields([*BOX], [1, 2, 3, 4, 5, 6], [1, 0, 1], [1, 1, 0])
    assert len(objects) == 2
    np.testing.assert_array_equal(objects.points[0].coords_xy, [[5, 6]])
    np.testing.assert_array_equal(objects.points[1].labels, [1, 0])
    with pytest.raises(InvalidInputError, match="object 1 has neither"):
        PromptedObjects.from_fields([*BOX], [1, 2], [1], [2])
