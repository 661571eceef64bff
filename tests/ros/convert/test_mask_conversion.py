# SPDX-License-Identifier: Apache-2.0
"""Mask messages: what is sent is what comes back, field by field."""

from __future__ import annotations

import array

import numpy as np
import pytest
from amodal_msgs.msg import AmodalMask
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.masks import (
    amodal_boxes_message,
    decode_crop,
    decode_mask,
    decode_masks,
    encode_masks,
)
from amodal_ros.tracking.tracker import TrackedObject
from tests.ros.ros_rig import tracked_object

HW = (40, 60)


def make_object(visible_mask: np.ndarray, amodal_mask: np.ndarray, **fields) -> TrackedObject:
    named = {"track_id": 3, "detection_id": "d7", "score": 0.5, "predicted_iou": 0.25, **fields}
    return tracked_object(visible_mask, amodal_mask, **named)


def header() -> Header:
    message = Header(frame_id="camera_optical")
    message.stamp.sec, message.stamp.nanosec = 12, 345_678_901
    return message


def rectangle(x0, y0, x1, y1) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def half_hidden() -> TrackedObject:
    return make_object(rectangle(10, 5, 20, 15), rectangle(10, 5, 30, 15))


def test_every_field():
    encoded = encode_masks([half_hidden()], header(), HW)
    array_message = encoded.message
    assert encoded.empty == 0
    assert array_message.header == header()
    assert (array_message.height, array_message.width) == HW
    (mask,) = array_message.masks
    assert (mask.track_id, mask.class_id, mask.detection_id) == (3, "mug", "d7")
    assert (mask.score, mask.predicted_iou, mask.coasting) == (0.5, 0.25, False)
    assert mask.occlusion_rate == pytest.approx(0.5)
    assert (mask.age, mask.position_sigma) == (0, 0)
    boxes = [
        (b.x_offset, b.y_offset, b.width, b.height) for b in (mask.visible_box, mask.amodal_box)
    ]
    assert boxes == [(10, 5, 10, 10), (10, 5, 20, 10)]
    assert mask.mask.header == header()
    assert (mask.mask.encoding, mask.mask.step) == ("mono8", 20)
    crop = decode_crop(mask)
    assert (crop[:, :10] == AmodalMask.VISIBLE).all()
    assert (crop[:, 10:] == AmodalMask.OCCLUDED).all()


def test_what_is_not_sure_comes_back():
    unsure = {"coasting": True, "age_s": 0.5, "position_sigma_px": 12.5}
    ghost = make_object(rectangle(0, 0, 0, 0), rectangle(10, 5, 30, 15), **unsure)
    (found,) = decode_masks(encode_masks([ghost], header(), HW).message)
    assert (found.coasting, found.age_s, found.position_sigma_px) == (True, 0.5, 12.5)


def test_holes_are_background():
    whole = half_hidden()
    holed = whole.amodal_mask.copy()
    holed[8:10, 22:25] = False
    tracked = make_object(whole.visible_mask, holed)
    (mask,) = encode_masks([tracked], header(), HW).message.masks
    assert (decode_crop(mask)[3:5, 12:15] == AmodalMask.BACKGROUND).all()


def test_the_data_is_a_byte_array():
    """rclpy copies array.array at once and everything else item by item."""
    (mask,) = encode_masks([half_hidden()], header(), HW).message.masks
    assert isinstance(mask.mask.data, array.array)


def test_fully_hidden_object():
    tracked = make_object(np.zeros(HW, bool), rectangle(1, 2, 4, 6), coasting=True)
    (mask,) = encode_masks([tracked], header(), HW).message.masks
    assert (mask.occlusion_rate, mask.coasting) == (1.0, True)
    box = mask.visible_box
    assert (box.x_offset, box.y_offset, box.width, box.height) == (0, 0, 0, 0)


def test_empty_objects_are_left_out_and_counted():
    empty = make_object(np.zeros(HW, bool), np.zeros(HW, bool))
    encoded = encode_masks([empty, half_hidden(), empty], header(), HW)
    assert (len(encoded.message.masks), encoded.empty) == (1, 2)


def test_no_object_still_carries_header_and_size():
    message = encode_masks([], header(), HW).message
    assert message.header == header()
    assert (message.height, message.width, message.masks) == (*HW, [])


def test_visible_outside_of_amodal_is_refused():
    tracked = make_object(rectangle(0, 0, 5, 5), rectangle(2, 0, 5, 5))
    with pytest.raises(InvalidInputError, match=r"\(0, 0, 5, 5\).*amodal box \(2, 0, 5, 5\)"):
        encode_masks([tracked], header(), HW)
    with pytest.raises(InvalidInputError, match=r"amodal box \(0, 0, 0, 0\)"):
        encode_masks([make_object(rectangle(0, 0, 5, 5), np.zeros(HW, bool))], header(), HW)


def test_mask_of_another_size_is_refused():
    wrong = np.zeros((40, 61), bool)
    with pytest.raises(InvalidInputError, match=r"masks of \(40, 60\), got \(40, 61\)"):
        encode_masks([make_object(wrong, wrong)], header(), HW)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_round_trip_over_the_wire(seed, amodal_share, visible_share):
    rng = np.random.default_rng(seed)
    amodal = rng.random(HW) < amodal_share**3
    visible = amodal & (rng.random(HW) < visible_share)
    encoded = encode_masks([make_object(visible, amodal)], header(), HW)
    if not amodal.any():
        assert encoded.empty == 1
        return
    wire = serialize_message(encoded.message)
    received = deserialize_message(wire, type(encoded.message))
    (mask,) = received.masks
    decoded_visible, decoded_amodal = decode_mask(mask, (received.height, received.width))
    np.testing.assert_array_equal(decoded_visible, visible)
    np.testing.assert_array_equal(decoded_amodal, amodal)
    assert mask.occlusion_rate == pytest.approx(1 - visible.sum() / amodal.sum(), abs=1e-6)


def test_decode_honours_step():
    (mask,) = encode_masks([half_hidden()], header(), HW).message.masks
    rows = np.frombuffer(mask.mask.data, np.uint8).reshape(10, 20)
    mask.mask.step = 24
    mask.mask.data = array.array("B", np.pad(rows, ((0, 0), (0, 4))).tobytes())
    visible, amodal = decode_mask(mask, HW)
    np.testing.assert_array_equal(visible, half_hidden().visible_mask)
    np.testing.assert_array_equal(amodal, half_hidden().amodal_mask)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda m: setattr(m.mask, "encoding", "rgb8"), "encoding 'rgb8'"),
        (lambda m: setattr(m.mask, "width", 19), "19x10, its amodal_box 20x10"),
        (lambda m: setattr(m.mask, "step", 10), "step 10"),
        (lambda m: setattr(m.mask, "data", m.mask.data[:-1]), "199 bytes"),
        (lambda m: setattr(m.amodal_box, "x_offset", 41), "not inside of the image 60x40"),
    ],
)
def test_decode_refuses_what_does_not_fit(change, text):
    (mask,) = encode_masks([half_hidden()], header(), HW).message.masks
    change(mask)
    with pytest.raises(InvalidInputError, match=text):
        decode_mask(mask, HW)


def test_who_hides_whom_by_index_and_by_track():
    """A mug behind a lid without a track and something unknown; before both an empty one."""
    empty = make_object(np.zeros(HW, bool), np.zeros(HW, bool), track_id=9)
    mug = make_object(rectangle(10, 5, 20, 15), rectangle(10, 5, 40, 15), track_id=4)
    lid = make_object(rectangle(20, 0, 30, 15), rectangle(20, 0, 30, 15), track_id=-1)
    encoded = encode_masks([empty, mug, lid], header(), HW)
    back, front = deserialize_message(
        serialize_message(encoded.message), type(encoded.message)
    ).masks
    assert list(back.occluder_indices) == [1]
    assert list(back.occluder_track_ids) == [-1]
    assert list(back.occluder_shares) == [0.5]
    assert (back.unknown_share, back.layer) == (0.5, 1)
    assert (list(front.occluder_indices), front.unknown_share, front.layer) == ([], 0, 0)
    assert list(encoded.message.cycle_indices) == []


def test_pixels_that_two_claim_are_seen_of_one():
    front = make_object(rectangle(10, 5, 30, 15), rectangle(10, 5, 30, 15), track_id=1)
    back = make_object(rectangle(25, 5, 50, 15), rectangle(15, 5, 50, 15), track_id=2)
    encoded = encode_masks([back, front], header(), HW)
    decoded = decode_masks(encoded.message)
    np.testing.assert_array_equal(decoded[0].visible_mask, rectangle(30, 5, 50, 15))
    np.testing.assert_array_equal(decoded[1].visible_mask, rectangle(10, 5, 30, 15))
    assert encoded.objects[0].visible_box_xyxy == (30, 5, 50, 15)


def test_amodal_boxes_with_track_class_and_score():
    empty = make_object(np.zeros(HW, bool), np.zeros(HW, bool), track_id=9)
    mug = make_object(rectangle(10, 5, 20, 15), rectangle(10, 5, 41, 15), track_id=4, score=0.75)
    message = amodal_boxes_message([empty, mug], header())
    (detection,) = message.detections
    assert message.header == detection.header == header()
    centre = detection.bbox.center.position
    assert (centre.x, centre.y) == (25.5, 10.0)
    assert (detection.bbox.size_x, detection.bbox.size_y) == (31.0, 10.0)
    (result,) = detection.results
    found = detection.id, result.hypothesis.class_id, result.hypothesis.score
    assert found == ("4", mug.class_id, 0.75)


def test_cycles_and_contradictions_by_index():
    cup, spoon = rectangle(0, 10, 30, 30), rectangle(10, 0, 16, 40)
    upper = spoon & rectangle(0, 0, 60, 18)
    objects = [
        make_object(rectangle(50, 0, 60, 9), rectangle(50, 0, 60, 9)),
        make_object(cup & ~upper, cup, track_id=1),
        make_object(spoon & ~(cup & ~upper), spoon, track_id=2),
    ]
    message = encode_masks(objects, header(), HW).message
    assert (list(message.cycle_indices), list(message.cycle_sizes)) == ([1, 2], [2])
    front, back = rectangle(0, 5, 20, 35), rectangle(10, 5, 40, 35)
    depth = np.where(front, 1.0, 0.5).astype(np.float32)
    objects = [make_object(back & ~front, back), make_object(front, front)]
    message = encode_masks(objects, header(), HW, depth).message
    assert list(message.contradiction_indices) == [1, 0]
