# SPDX-License-Identifier: Apache-2.0
"""Detections of a message: which boxes are used, which are left out and why."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.box_units import BoxUnits
from amodal_ros.ros.convert.detections import detections_from_message
from amodal_ros.ros.watch.faults import Fault

HW = (480, 640)


def detection(x, y, width, height, score=None, class_id="cup", detection_id="", theta=0.0):
    message = Detection2D(id=detection_id)
    message.bbox.center.position.x, message.bbox.center.position.y = float(x), float(y)
    message.bbox.center.theta = float(theta)
    message.bbox.size_x, message.bbox.size_y = float(width), float(height)
    if score is not None:
        message.results.append(hypothesis(class_id, score))
    return message


def hypothesis(class_id, score):
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = class_id, float(score)
    return result


def read(*detections, **options):
    return detections_from_message(Detection2DArray(detections=list(detections)), HW, **options)


def test_fields_arrive():
    found = read(detection(100, 50, 40, 20, 0.75, "mug", "track 3")).detections
    np.testing.assert_array_equal(found.boxes_xyxy, np.float32([[80, 40, 120, 60]]))
    np.testing.assert_array_equal(found.scores, np.float32([0.75]))
    assert (found.class_ids, found.detection_ids) == (("mug",), ("track 3",))
    assert found.track_ids.tolist() == [-1]


def test_no_detection_is_a_valid_answer():
    sanitised = read()
    assert len(sanitised.detections) == 0
    assert sanitised.rejected == {}


def test_best_hypothesis_by_score():
    message = detection(100, 100, 10, 10)
    message.results = [hypothesis("a", 0.2), hypothesis("b", math.nan), hypothesis("c", 0.6)]
    found = read(message).detections
    assert found.class_ids == ("c",)
    assert found.scores[0] == np.float32(0.6)


def test_without_hypothesis_the_score_is_one_and_the_class_unknown():
    found = read(detection(100, 100, 10, 10), min_score=0.99).detections
    assert (found.scores.tolist(), found.class_ids) == ([1.0], ("",))


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((math.nan, 10, 10, 10), "not_finite"),
        ((10, math.inf, 10, 10), "not_finite"),
        ((10, 10, math.nan, 10), "not_finite"),
        ((10, 10, 10, math.inf), "not_finite"),
        ((10, 10, -10, 10), "no_size"),
        ((10, 10, 10, -1e-9), "no_size"),
        ((10, 10, 0, 10), "no_size"),
        ((-50, 10, 20, 20), "outside"),
        ((10, 500, 20, 20), "outside"),
        ((1e300, 10, 20, 20), "outside"),
        ((-9.5, 10, 20, 20), "outside"),
    ],
)
def test_a_bad_box_costs_itself_alone(box, reason):
    sanitised = read(detection(*box, 0.9), detection(100, 100, 10, 10, 0.5))
    assert sanitised.rejected == {reason: 1}
    assert Fault.of_box(reason).value == f"boxes_{reason}"
    np.testing.assert_array_equal(sanitised.detections.boxes_xyxy, [[95, 95, 105, 105]])


def test_nan_rotation():
    assert read(detection(10, 10, 5, 5, theta=math.nan)).rejected == {"not_finite": 1}


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.5, 170.0])
def test_bad_score(score):
    sanitised = read(detection(100, 100, 10, 10, score))
    assert sanitised.rejected == {"bad_score": 1}
    assert sanitised.examples == {"bad_score": f"score {score:g}, expected 0 to 1"}


def test_scores_in_percent_count_all_the_same():
    found = read(*(detection(100, 100, 10, 10, score) for score in (87.0, 40.0, 0.5)))
    assert found.percent
    np.testing.assert_allclose(found.detections.scores, [0.87, 0.4, 0.005])
    one_outlier = read(*(detection(100, 100, 10, 10, score) for score in (87.0, 0.4, 0.5)))
    assert not one_outlier.percent
    assert one_outlier.rejected == {"bad_score": 1}


@pytest.mark.parametrize(
    ("units", "box"),
    [
        ("pixels", (100, 50, 40, 20)),
        ("automatic", (100, 50, 40, 20)),
        ("normalised", (100 / 640, 50 / 480, 40 / 640, 20 / 480)),
        ("stretch_320x320", (50, 50 / 1.5, 20, 20 / 1.5)),
        ("letterbox_320x320", (50, 25 + 40, 20, 10)),
        ("letterbox_1280x960", (200, 100, 80, 40)),
    ],
)
def test_boxes_of_other_units_become_pixels(units, box):
    found = read(detection(*box), units=BoxUnits.parse(units))
    np.testing.assert_allclose(found.detections.boxes_xyxy, [[80, 40, 120, 60]], atol=1e-4)


@pytest.mark.parametrize("text", ["", "pixel", "stretch", "letterbox_0x640", "stretch_640x640x3"])
def test_units_that_are_none(text):
    with pytest.raises(InvalidInputError, match=r"box_units.*letterbox_WIDTHxHEIGHT"):
        BoxUnits.parse(text)


def test_score_with_a_rounding_error_is_clipped():
    assert read(detection(100, 100, 10, 10, 1.0000002)).detections.scores.tolist() == [1.0]


def test_boxes_are_clipped_to_the_image():
    found = read(detection(0, 0, 100, 60, 0.5), detection(640, 480, 1e308, 1e308, 0.5)).detections
    np.testing.assert_array_equal(found.boxes_xyxy, [[0, 0, 50, 30], [0, 0, 640, 480]])


def test_a_box_smaller_than_a_pixel_is_kept():
    found = read(detection(100, 100, 0.5, 0.25, 0.5)).detections
    np.testing.assert_allclose(found.boxes_xyxy, [[99.75, 99.875, 100.25, 100.125]])


def test_rotated_box_is_replaced_by_the_upright_box_around_it():
    found = read(detection(100, 100, 40, 20, 0.5, theta=math.pi / 2)).detections
    np.testing.assert_allclose(found.boxes_xyxy, [[90, 80, 110, 120]], atol=1e-4)


def test_min_score_and_max_objects_keep_the_order():
    scores = [0.3, 0.9, 0.05, 0.7, 0.8]
    boxes = [detection(50 + 20 * i, 50, 10, 10, score) for i, score in enumerate(scores)]
    sanitised = read(*boxes, min_score=0.1, max_objects=3)
    np.testing.assert_allclose(sanitised.detections.scores, [0.9, 0.7, 0.8])
    assert sanitised.rejected == {"low_score": 1, "surplus": 1}
    assert {Fault.of_box(reason) for reason in sanitised.rejected} == {
        Fault.BOX_LOW_SCORE,
        Fault.BOX_SURPLUS,
    }


def test_an_id_twice_is_no_identity_and_costs_no_box():
    twice = [
        detection(50, 50, 10, 10, 0.4, "first", "7"),
        detection(90, 50, 10, 10, 0.8, "second", "7"),
        detection(10, 50, 10, 10, 0.6, "other", ""),
        detection(20, 50, 10, 10, 0.6, "another", ""),
    ]
    sanitised = read(*twice)
    assert sanitised.detections.class_ids == ("first", "second", "other", "another")
    assert sanitised.rejected == {}
    assert "2 boxes of one message have the id '7'" in sanitised.repeated_id
    assert read(*twice[1:]).repeated_id is None


def test_thousands_of_boxes():
    rng = np.random.default_rng(0)
    boxes = [detection(*rng.uniform(1, 470, 2), 8, 8, score) for score in rng.random(5000)]
    sanitised = read(*boxes, max_objects=16)
    assert len(sanitised.detections) == 16
    assert sanitised.detections.scores.min() > 0.99
    assert sanitised.rejected == {"surplus": 4984}


@pytest.mark.parametrize("image_hw", [(0, 640), (480, -1)])
def test_image_without_pixels(image_hw):
    with pytest.raises(InvalidInputError, match="must be positive"):
        detections_from_message(Detection2DArray(), image_hw)


ANY_FLOAT = st.floats(width=64, allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(ANY_FLOAT, ANY_FLOAT, ANY_FLOAT, ANY_FLOAT, ANY_FLOAT), max_size=6))
@settings(max_examples=200, deadline=None)
def test_whatever_comes_the_boxes_are_usable_and_all_are_accounted_for(fields):
    sanitised = read(*(detection(*box, score) for *box, score in fields))
    boxes = sanitised.detections.boxes_xyxy
    assert len(boxes) + sum(sanitised.rejected.values()) == len(fields)
    assert np.isfinite(boxes).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert (boxes >= 0).all()
    assert (boxes <= np.float32([640, 480, 640, 480])).all()
